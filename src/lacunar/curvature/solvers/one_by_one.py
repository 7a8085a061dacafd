"""Several dampings, each solved by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from lacunar.core.errors import NotApplicable
from lacunar.curvature.matrix import Matrix
from lacunar.curvature.solvers.solution import Solution


class Solver(Protocol):
    r"""What solves :math:`(C + \alpha I) x = b` for one damping."""

    def solve(self, matrix: Matrix, b: Mapping[str, Tensor], damping: float) -> Solution:
        """The solution; raises ``NotApplicable`` where the matrix is not one for this solver."""


@dataclass(frozen=True)
class OneByOne:
    """One solver for all dampings; what does not depend on the damping is made by the matrix, once.

    Attributes:
        solver: any that takes one damping.
    """

    solver: Solver

    def solve(self, matrix: Matrix, b: Mapping[str, Tensor], dampings: Sequence[float]) -> list[Solution]:
        """The solutions in the order given, largest damping first, up to the first that is too small.

        Raises:
            NotApplicable: the first is refused already.
        """
        found: list[Solution] = []
        for damping in dampings:
            try:
                found.append(self.solver.solve(matrix, b, damping))
            except NotApplicable:
                if not found:
                    raise
                break  # with less damping it is less definite still
        return found
