"""Conjugate gradients, preconditioned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn, Protocol

import torch
from torch import Tensor

from lacunar.core import masks, named
from lacunar.core.errors import NotApplicable
from lacunar.core.masks import Mask
from lacunar.core.named import Named
from lacunar.curvature.solvers._vectors import check_damping, check_iteration, unvector, vector
from lacunar.curvature.solvers.solution import Solution

Times = Callable[[Tensor], Tensor]


class Operator(Protocol):
    """A symmetric matrix C by its products."""

    @property
    def free(self) -> Mask | None:
        """The weights whose block is meant, None for all."""

    @property
    def diagonal(self) -> Named | None:
        """An estimate of the diagonal, not negative; None where there is none."""

    def __call__(self, v: Mapping[str, Tensor], /) -> Named:
        """C v, the same at every call."""


@dataclass(frozen=True, eq=False)
class Products:
    """A function as an :class:`Operator`."""

    times: Callable[[Mapping[str, Tensor]], Named]
    free: Mask | None = None
    diagonal: Named | None = None

    def __call__(self, v: Mapping[str, Tensor], /) -> Named:
        return self.times(v)


@dataclass(frozen=True)
class Cg:
    r"""Conjugate gradients for :math:`(C_{SS} + \alpha I) x_S = b_S`, S the free weights.

    :math:`C_{ii} + \alpha` preconditions where the diagonal is known (Jacobi). Iterates and inner products are float64;
    products are in the precision of ``b``. When the recurrence claims to be done, the residual is computed afresh; if
    it disagrees, the search starts again from there.

    Attributes:
        rtol: of the residual, relative to b.
        max_iter: most products.

    Raises:
        BadInput: a tolerance that is not > 0, or no iteration.
    """

    rtol: float = 1e-3
    max_iter: int = 200

    def __post_init__(self) -> None:
        check_iteration(self.rtol, self.max_iter)

    def solve(self, matrix: Operator, b: Mapping[str, Tensor], damping: float) -> Solution:
        r"""The solution for one damping :math:`\alpha \ge 0`.

        Raises:
            BadInput: a negative damping, or keys that differ.
            NotApplicable: a direction of negative curvature was met, so the matrix is indefinite.
        """
        check_damping(damping)
        like = masks.keep(b, matrix.free)
        right, size = vector(like, like), named.norm(like)

        def times(v: Tensor) -> Tensor:
            return vector(masks.keep(matrix(unvector(v, like)), matrix.free), like) + damping * v

        x, residual, made = self._iterated(times, right, _jacobi(matrix, like, damping), damping)
        error = float(residual.norm()) / size if size else 0.0
        return Solution(unvector(x, like), made, error, error <= self.rtol)

    def _iterated(
        self, times: Times, right: Tensor, scale: Tensor | float, damping: float
    ) -> tuple[Tensor, Tensor, int]:
        x, residual, goal = torch.zeros_like(right), right, self.rtol * float(right.norm())
        p, rz, made = torch.zeros_like(right), 1.0, 0
        claimed = float(right.norm()) <= goal
        while made < self.max_iter and not claimed:
            z = residual / scale
            now = float(residual @ z)
            p = z + (now / rz if made else 0.0) * p
            rz = now
            along, made = times(p), made + 1
            curvature = float(p @ along)
            if not curvature > 0:
                _indefinite(curvature, float(p @ p), damping)
            x = x + rz / curvature * p
            residual = residual - rz / curvature * along
            if float(residual.norm()) <= goal:
                residual, made, p = right - times(x), made + 1, torch.zeros_like(p)
                claimed = float(residual.norm()) <= goal
        return x, residual, made


def _jacobi(matrix: Operator, like: Named, damping: float) -> Tensor | float:
    if matrix.diagonal is None:
        return 1.0
    scale = vector(masks.keep(matrix.diagonal, matrix.free), like).clamp(min=0) + damping
    return scale.masked_fill(scale == 0, 1.0)


def _indefinite(curvature: float, length: float, damping: float) -> NoReturn:
    seen = curvature / length - damping if length else float("nan")
    raise NotApplicable(
        f"the matrix is indefinite: curvature {seen:.3g} was met along a direction, damping {damping:g} included it is "
        f"not positive; raise the damping above {abs(seen):.3g} or use the Gauss-Newton matrix"
    )
