"""The diagonal of the Fisher information, over all labels or the given ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from lacunar.core.named import Named
from lacunar.curvature import fisher
from lacunar.curvature.objective import Objective
from lacunar.sparsity.score import Basis, Score


@dataclass(frozen=True)
class FisherDiagonal(Score):
    r""":math:`\sum_n (\partial_i \log p(y_n \mid x_n))^2` over the retained examples.

    Attributes:
        labels: "given" is the empirical Fisher, one gradient; "all" weights every class by the model's probability of
            it, as many gradients as classes.
    """

    paper: ClassVar[str] = "Golatkar et al., Eternal Sunshine of the Spotless Net, CVPR 2020, arXiv:1911.04933"
    needs: ClassVar[frozenset[str]] = frozenset({"examples"})

    labels: Literal["given", "all"] = "given"

    def of(self, basis: Basis) -> Named:
        compute = fisher.empirical if self.labels == "given" else fisher.true
        return compute(Objective.of(basis.model, basis.kept(), basis.recipe))
