"""Go on training on the retained examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem


@dataclass(frozen=True)
class FineTune(Method):
    r"""Go on training on the retained examples: :math:`\min_\theta L(\theta; D_r)` from :math:`\theta_o`.

    Where rows were corrected instead of deleted, the corrected rows are trained on as well. Forgetting is left to
    chance: nothing in the objective knows the forget set.

    Departures from the paper: the variant that prunes gradually while it tunes is left out; ``l1_sparse`` with
    ``solver="proximal"`` and ``prune_first`` are what makes zeros here.
    """

    paper: ClassVar[str] = "Golatkar et al., Eternal Sunshine of the Spotless Net, CVPR 2020, arXiv:1911.04933"
    needs: ClassVar[frozenset[str]] = frozenset({"retain"})

    epochs: int = 10
    lr: float = 0.01
    batch_size: int = 256
    momentum: float = 0.9
    weight_decay: float = 5e-4

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        return problem.descend(model, problem.edited, problem.loss, self)
