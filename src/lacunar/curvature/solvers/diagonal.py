"""Division by the diagonal, as if all other entries of the matrix were 0: a control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from lacunar.core import masks, named
from lacunar.core.errors import NotApplicable
from lacunar.curvature.solvers._vectors import check_damping
from lacunar.curvature.solvers.cg import Operator
from lacunar.curvature.solvers.solution import Solution


@dataclass(frozen=True)
class Diagonal:
    r""":math:`x_i = b_i / (C_{ii} + \alpha)`: the solution of another system, so its residual is not looked at."""

    def solve(self, matrix: Operator, b: Mapping[str, Tensor], damping: float) -> Solution:
        r"""The quotient for one damping :math:`\alpha \ge 0`.

        Raises:
            BadInput: a negative damping.
            NotApplicable: no estimate of the diagonal.
        """
        check_damping(damping)
        if matrix.diagonal is None:
            raise NotApplicable('solver="diagonal" needs the diagonal of the matrix, and none is known; use "cg"')
        like = masks.keep(b, matrix.free)
        return Solution(named.apply(lambda g, c: g / (c + damping), like, matrix.diagonal), 0, 0.0, True)
