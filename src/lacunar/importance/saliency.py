"""How strongly the loss of the forgotten examples pulls at a weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lacunar.core.named import Named
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example import weighted_sum
from lacunar.sparsity.score import Basis, Score


@dataclass(frozen=True)
class Saliency(Score):
    r""":math:`|\partial_i L(\theta; D_f)|`, the gradient of the summed loss of the forgotten examples."""

    paper: ClassVar[str] = "Fan et al., SalUn, ICLR 2024, arXiv:2310.12508"
    needs: ClassVar[frozenset[str]] = frozenset({"forget"})

    def of(self, basis: Basis) -> Named:
        gradient = weighted_sum(Objective.of(basis.model, basis.gone(), basis.recipe))
        return {name: g.abs() for name, g in gradient.items()}
