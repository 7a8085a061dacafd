"""Teach the forgotten examples wrong labels while rehearsing the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lacunar.core.errors import NotApplicable
from lacunar.core.rng import keyed_integers
from lacunar.data.batches import Batch
from lacunar.training import forward
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem


@dataclass(frozen=True)
class RandomLabel(Method):
    r"""Train on everything, with random labels on what must be forgotten.

    :math:`\min_\theta L(\theta; D_r \cup \tilde D_f)`, the labels of :math:`\tilde D_f` uniform over all classes but
    the one that was seen, drawn per example from its id. A corrected row takes the place of the forgotten one, under
    its own label: a random label on the same inputs would contradict it.

    Attributes:
        redraw: when new labels are drawn: once per "run", every "epoch" or every "batch".
        allow_true: let the true label be drawn as well, as some public code does.
    """

    paper: ClassVar[str] = "Graves et al., Amnesiac Machine Learning, AAAI 2021, arXiv:2010.10981"
    needs: ClassVar[frozenset[str]] = frozenset({"retain", "forget"})

    epochs: int = 10
    lr: float = 0.003
    schedule: str = "cosine"
    batch_size: int = 256
    momentum: float = 0.9
    weight_decay: float = 5e-4
    redraw: Literal["run", "epoch", "batch"] = "run"
    allow_true: bool = False

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        if problem.recipe.loss == "squared_error" or problem.forget.y.ndim != 1:
            raise NotApplicable("random_label needs one class label per example; these labels are not classes")
        gone = problem.forget if problem.corrected is None else problem.forget.without(problem.corrected.ids)
        if not gone:
            raise NotApplicable(
                "every forgotten row has a corrected one, which is trained on under its own label, so random_label has "
                "nothing to relabel; use fine_tune"
            )

        def loss(model: nn.Module, batch: Batch) -> Tensor:
            z = forward.logits(model, batch.x)
            key = {"run": 0, "epoch": batch.epoch, "batch": batch.step}[self.redraw]
            wrong = self.wrong_labels(batch, forward.two_sided(z).shape[1], problem.seed, key)
            y = torch.where(torch.isin(batch.ids, gone.ids, assume_unique=True), wrong, batch.y)
            return problem.recipe.losses(z, y).mean()

        return problem.descend(model, problem.edited + gone, loss, self)

    def wrong_labels(self, batch: Batch, classes: int, seed: int, key: int) -> Tensor:
        """A label for each example of a batch, by (seed, key, id): uniform over all others, or over all."""
        draw = keyed_integers(seed, key, batch.ids, 1)[:, 0]
        first = 0 if self.allow_true else 1
        return ((batch.y.long() + first + draw % (classes - first)) % classes).to(batch.y.dtype)
