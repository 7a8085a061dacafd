r"""The linear systems of Newton steps, one for each damping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from lacunar.core import masks, named
from lacunar.core.named import Named
from lacunar.curvature.edit_gradient import penalty
from lacunar.curvature.ggn import GaussNewton
from lacunar.curvature.hessian import Hessian
from lacunar.curvature.matrix import Matrix
from lacunar.curvature.solvers.one_by_one import Solver
from lacunar.curvature.solvers.solution import Solution

CURVATURES: dict[str, type[GaussNewton | Hessian]] = {"ggn": GaussNewton, "hessian": Hessian}
"""The matrices by the words of methods: Gauss-Newton is positive semi-definite, the Hessian can be indefinite."""

DAMPINGS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 1e-2, 1e-3)
DRIFT = 2.0


class GridSolver(Protocol):
    """What solves for several dampings: ``MultiShiftCg``, or ``OneByOne`` of any solver."""

    def solve(self, matrix: Matrix, b: Mapping[str, Tensor], dampings: Sequence[float]) -> list[Solution]:
        """Solutions in the order of the dampings, largest first; those of the smallest may be missing."""


@dataclass(frozen=True, eq=False)
class NewtonSystem:
    r"""The systems :math:`(C_{SS} + (\lambda + n\mu) I)\, x = G_S` of Newton steps, one for each damping :math:`\mu`.

    Attributes:
        matrix: C, summed over the n examples of its objective; S are its free weights, and x is 0 outside.
    """

    matrix: Matrix

    def solved(self, gradient: Named, damping: float, solver: Solver) -> Solution:
        r"""The solution for one damping :math:`\mu` per example.

        Raises:
            NotApplicable: the matrix is not one for this solver.
        """
        return solver.solve(self.matrix, gradient, self.alpha(damping))

    def grid(self, gradient: Named, solver: GridSolver) -> list[tuple[float, Solution]]:
        """The solutions for a grid of dampings, 10 to 1e-3 per example; those that were not reached are left out.

        Raises:
            NotApplicable: no damping of the grid is large enough.
        """
        found = solver.solve(self.matrix, gradient, [self.alpha(mu) for mu in DAMPINGS])
        if not any(solution.converged for solution in found):
            found[0].need()
        return [(mu, solution) for mu, solution in zip(DAMPINGS, found, strict=False) if solution.converged]

    def checked(self, gradient: Named, damping: float, solution: Solution, solver: Solver, rtol: float) -> Solution:
        """The solution with its residual measured; found again by ``solver`` where it had drifted from ``rtol``."""
        if solution.measured:
            return solution
        right = masks.keep(gradient, self.matrix.free)
        there = named.add(self.matrix(solution.x), solution.x, self.alpha(damping))
        size = named.norm(right)
        error = named.norm(named.add(right, there, -1.0)) / size if size else 0.0
        if error <= DRIFT * rtol:
            return replace(solution, iterations=solution.iterations + 1, residual=error, measured=True)
        return self.solved(gradient, damping, solver)

    def alpha(self, damping: float) -> float:
        r""":math:`\lambda + n\mu`."""
        of = self.matrix.objective
        return penalty(of.recipe, len(of.examples)) + len(of.examples) * damping
