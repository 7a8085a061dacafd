"""The diagonal of the Gauss-Newton matrix: how sharp the loss is along a weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from lacunar.core.named import Named
from lacunar.curvature import ggn
from lacunar.curvature.objective import Objective
from lacunar.sparsity.score import Basis, Score


@dataclass(frozen=True)
class GgnDiagonal(Score):
    r""":math:`\sum_n (J_n^\top \Lambda_n J_n)_{ii}` over the retained examples.

    Under softmax cross-entropy it does not depend on labels, so it can be computed before any request.

    Attributes:
        estimator: "rademacher" takes ``probes`` gradients, "exact" as many as the model has classes.
    """

    paper: ClassVar[str] = "Malekmohammadi et al., Sharpness-Aware Parameter Selection, 2025, arXiv:2504.06398"
    needs: ClassVar[frozenset[str]] = frozenset({"examples"})

    estimator: Literal["rademacher", "exact"] = "rademacher"
    probes: int = 1

    def of(self, basis: Basis) -> Named:
        objective = Objective.of(basis.model, basis.kept(), basis.recipe)
        if self.estimator == "exact":
            return ggn.exact_diagonal(objective)
        return ggn.diagonal(objective, probes=self.probes, seed=basis.seed)
