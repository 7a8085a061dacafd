"""The diagonal of the Fisher information, from labels drawn from the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lacunar.core.named import Named
from lacunar.curvature import fisher
from lacunar.curvature.objective import Objective
from lacunar.sparsity.score import Basis, Score


@dataclass(frozen=True)
class McFisher(Score):
    r""":math:`\sum_n (\partial_i \log p(\hat y_n \mid x_n))^2` over the retained examples, :math:`\hat y_n` sampled.

    Attributes:
        samples: labels per example; each costs a gradient.
    """

    paper: ClassVar[str] = "Martens, New Insights on the Natural Gradient Method, JMLR 2020, arXiv:1412.1193"
    needs: ClassVar[frozenset[str]] = frozenset({"examples"})

    samples: int = 1

    def of(self, basis: Basis) -> Named:
        objective = Objective.of(basis.model, basis.kept(), basis.recipe)
        return fisher.monte_carlo(objective, samples=self.samples, seed=basis.seed)
