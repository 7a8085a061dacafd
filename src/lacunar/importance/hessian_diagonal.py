"""The exact diagonal of the Hessian, where it can be had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lacunar.core.named import Named
from lacunar.curvature import hessian
from lacunar.curvature.objective import Objective
from lacunar.sparsity.score import Basis, Score


@dataclass(frozen=True)
class HessianDiagonal(Score):
    r""":math:`\partial^2_i L` summed over the retained examples, with its sign.

    In piecewise linear nets it is the Gauss-Newton diagonal, computed as such, and a note says so; other nets must be
    small (see :func:`lacunar.curvature.hessian.exact_diagonal`).
    """

    paper: ClassVar[str] = "Malekmohammadi et al., Sharpness-Aware Parameter Selection, 2025, arXiv:2504.06398"
    needs: ClassVar[frozenset[str]] = frozenset({"examples"})

    def of(self, basis: Basis) -> Named:
        found = hessian.exact_diagonal(Objective.of(basis.model, basis.kept(), basis.recipe))
        basis.notes.append(f"hessian_diagonal: {found.note}")
        return found.value
