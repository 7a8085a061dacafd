"""Descend on what stays, ascend on what goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.data.batches import NamedBatches
from lacunar.data.pairing import pair
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem


@dataclass(frozen=True)
class NegGradPlus(Method):
    r"""Weigh descent on retained against ascent on forgotten examples, batch beside batch.

    .. math:: \min_\theta \alpha \big(L(\theta; D_r) + \tfrac{a}{2} \|\theta - \theta_o\|^2\big)
              - (1 - \alpha) L(\theta; D_f)

    Corrected rows belong to :math:`D_r`; what they replace is pushed away as it was seen, with its wrong values.

    Attributes:
        alpha: weight of the retain term, in [0, 1]; 1 is fine-tuning with an anchor. Published: .95 for classes, .97 to
            .9999 for single examples.
        anchor: a, the pull towards the original weights.
        cap: examples whose loss exceeds it are no longer pushed; None for no bound.
        batchnorm: "frozen" uses the running statistics as they are.

    Departures from the paper: an epoch is one pass over the longer of the two sets, so that every forgotten example is
    visited even when few examples are retained.
    """

    paper: ClassVar[str] = "Kurmanji et al., Towards Unbounded Machine Unlearning, NeurIPS 2023, arXiv:2302.09880"
    needs: ClassVar[frozenset[str]] = frozenset({"retain", "forget"})

    epochs: int = 5
    lr: float = 0.01
    alpha: float = 0.97
    anchor: float = 5e-4
    cap: float | None = None
    batch_size: int = 256
    momentum: float = 0.0
    weight_decay: float = 0.0
    batchnorm: str = "frozen"

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise BadInput(f"alpha weighs retain against forget and lies in [0, 1], got {self.alpha}")

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        original = named.weights(model)

        def distance(model: nn.Module) -> Tensor:
            return torch.stack([(p - original[n]).pow(2).sum() for n, p in named.parameters(model).items()]).sum()

        def loss(model: nn.Module, batch: NamedBatches) -> Tensor:
            descent = problem.loss(model, batch["retain"]) + 0.5 * self.anchor * distance(model)
            return self.alpha * descent - (1 - self.alpha) * self._pushed(problem.losses(model, batch["forget"]))

        return problem.descend(model, pair(retain=problem.edited, forget=problem.forget), loss, self)

    def _pushed(self, losses: Tensor) -> Tensor:
        return losses.mean() if self.cap is None else (losses * (losses.detach() <= self.cap)).mean()
