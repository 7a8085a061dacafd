"""How much the loss of the forgotten examples would change if a weight were zero, to first order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lacunar.core import named
from lacunar.core.named import Named
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example import weighted_sum
from lacunar.sparsity.score import Basis, Score


@dataclass(frozen=True)
class Taylor(Score):
    r""":math:`|\theta_i \, \partial_i L(\theta; D_f)|`; unlike the gradient, it is invariant to rescaling a layer."""

    paper: ClassVar[str] = "Molchanov et al., Pruning Convolutional Neural Networks, ICLR 2017, arXiv:1611.06440"
    needs: ClassVar[frozenset[str]] = frozenset({"forget"})

    def of(self, basis: Basis) -> Named:
        gradient = weighted_sum(Objective.of(basis.model, basis.gone(), basis.recipe))
        return named.apply(lambda w, g: (w.to(g) * g).abs(), named.weights(basis.model), gradient)
