"""The diagonal of the Hessian, estimated from products with random signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lacunar.core import named
from lacunar.core.named import Named
from lacunar.curvature import hessian
from lacunar.curvature.objective import Objective
from lacunar.sparsity.score import Basis, Score


@dataclass(frozen=True)
class Hutchinson(Score):
    r"""The mean of :math:`r_i (H r)_i` over random signs r, H summed over the retained examples; can be negative.

    Attributes:
        probes: each costs two to three gradients; the error, which a note tells, falls as 1/sqrt(probes).
    """

    paper: ClassVar[str] = "Bekas, Kokiopoulou and Saad, An estimator for the diagonal of a matrix, 2007"
    needs: ClassVar[frozenset[str]] = frozenset({"examples"})

    probes: int = 100

    def of(self, basis: Basis) -> Named:
        objective = Objective.of(basis.model, basis.kept(), basis.recipe)
        found = hessian.hutchinson(objective, probes=self.probes, seed=basis.seed)
        assert found.error is not None
        share = named.norm(found.error) / max(named.norm(found.value), 1e-300)
        basis.notes.append(f"hutchinson: {found.note}; standard error {share:.0%} of the norm")
        return found.value
