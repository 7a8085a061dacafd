"""What a solver found."""

from __future__ import annotations

from dataclasses import dataclass, field

from lacunar.core.errors import NotApplicable
from lacunar.core.named import Named


@dataclass(frozen=True)
class Solution:
    r"""The x of :math:`(C + \alpha I) x = b`, with what is known about it.

    Attributes:
        x: 0 outside the free weights.
        iterations: products with the matrix (refinement steps for a direct solve).
        residual: :math:`\|b - (C + \alpha I) x\| / \|b\|`.
        converged: whether the residual is small enough. If not, ``x`` is no result: see :meth:`need`.
        measured: whether the residual was computed, not estimated by a recurrence.
    """

    x: Named = field(repr=False)
    iterations: int
    residual: float
    converged: bool
    measured: bool = True

    def need(self) -> Named:
        """``x``, if it solves the system.

        Raises:
            NotApplicable: it does not; the residual and what helps are named.
        """
        if not self.converged:
            raise NotApplicable(
                f"the linear system was not solved: relative residual {self.residual:.2g} after {self.iterations} "
                "iterations; raise the damping, the number of iterations or the tolerance"
            )
        return self.x
