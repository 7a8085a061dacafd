r"""Solving :math:`(C + \alpha I) x = b` on ``Named``: conjugate gradients, Woodbury, Cholesky.

``C`` sums over examples, so :math:`\alpha` is in the same units; a damping :math:`\mu` per example is
:math:`\alpha = n \mu`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.named import Mask, Named

Matrix = Callable[[Mapping[str, Tensor]], Named]
"""A symmetric matrix as the function that multiplies by it."""


class Rows(Protocol):
    """A matrix R with one row per example: see :class:`lacunar.curvature.per_example.GradientRows`."""

    @property
    def mask(self) -> Mask | None:
        """The weights that its columns stand for, None for all."""

    def gram(self) -> Tensor:
        """R Rᵀ in float64."""

    def times(self, v: Mapping[str, Tensor]) -> Tensor:
        """R v in float64."""

    def back(self, a: Tensor) -> Named:
        """Rᵀ a."""


@dataclass(frozen=True)
class Solution:
    r"""What a solver found.

    Attributes:
        x: 0 outside the mask.
        iterations: products with the matrix (refinement steps for a direct solve).
        residual: :math:`\|b - (C + \alpha I) x\| / \|b\|`, measured, not estimated by recurrence.
        converged: whether the residual is small enough. If not, ``x`` is no result: see :meth:`need`.
    """

    x: Named = field(repr=False)
    iterations: int
    residual: float
    converged: bool

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


def cg(
    matrix: Matrix,
    b: Mapping[str, Tensor],
    damping: float,
    *,
    diagonal: Mapping[str, Tensor] | None = None,
    mask: Mask | None = None,
    rtol: float = 1e-3,
    max_iter: int = 200,
) -> Solution:
    r"""Conjugate gradients, preconditioned by the diagonal when it is given (Jacobi).

    Iterates and inner products are float64; products are in the precision of ``b``. When the recurrence claims to be
    done, the residual is computed afresh; if it disagrees, the search starts again from there.

    Args:
        matrix: C, the same at every call.
        damping: :math:`\alpha \ge 0`.
        diagonal: of C, non-negative; :math:`C_{ii} + \alpha` preconditions.
        mask: solve in these coordinates only, the block :math:`(C_{SS} + \alpha I) x_S = b_S`.
        rtol: of the residual, relative to b.

    Raises:
        BadInput: a negative damping or tolerance, or keys that differ.
        NotApplicable: a direction of negative curvature was met, so the matrix is indefinite.
    """
    _check_damping(damping)
    if not rtol > 0 or max_iter < 1:
        raise BadInput(f"rtol must be > 0 and max_iter >= 1, got {rtol} and {max_iter}")
    like = named.keep(b, mask)
    right = _vector(like, like)

    def times(v: Tensor) -> Tensor:
        given = {name: t.to(like[name]) for name, t in named.unflat(v, like).items()}
        return _vector(named.keep(matrix(given), mask), like) + damping * v

    scale = 1.0 if diagonal is None else _vector(named.keep(diagonal, mask), like).clamp(min=0) + damping
    if isinstance(scale, Tensor):
        scale = scale.masked_fill(scale == 0, 1.0)
    x, residual, goal = torch.zeros_like(right), right, rtol * float(right.norm())
    p, rz, made = torch.zeros_like(right), 1.0, 0
    claimed = float(right.norm()) <= goal
    while made < max_iter and not claimed:
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
    return _solution(x, like, residual, right, made, rtol)


def woodbury(
    rows: Rows, b: Mapping[str, Tensor], damping: float, *, rtol: float = 1e-4, refinements: int = 3
) -> Solution:
    r"""The exact solve for :math:`C = R^\top R` with few rows.

    :math:`x = (b - R^\top(\alpha I + RR^\top)^{-1}Rb)/\alpha`. The Gram matrix and its Cholesky factor are float64,
    products with R are in the precision of the weights, so the solution is refined with the same factor until its
    residual is at most ``rtol``.

    Raises:
        BadInput: a damping that is not > 0.
    """
    _check_damping(damping, least=True)
    like = named.keep(b, rows.mask)
    small = rows.gram()
    small.diagonal().add_(damping)
    factor = torch.linalg.cholesky(small)

    def solve(right: Named) -> Named:
        inner = torch.cholesky_solve(rows.times(right)[:, None], factor)[:, 0]
        return named.scale(named.add(right, rows.back(inner), -1.0), 1.0 / damping)

    def left(x: Named) -> Named:
        made = named.add(named.scale(x, damping), rows.back(rows.times(x)))
        return named.add(like, made, -1.0)

    x, size, steps = solve(like), named.norm(like), 0
    residual = left(x)
    while named.norm(residual) > rtol * size and steps < refinements:
        x, steps = named.add(x, solve(residual)), steps + 1
        residual = left(x)
    error = named.norm(residual) / size if size else 0.0
    return Solution(x, steps, error, error <= rtol)


def cholesky(block: Tensor, b: Mapping[str, Tensor], damping: float, *, mask: Mask | None = None) -> Solution:
    """The direct solve for a small block ``[s, s]`` of the selected weights, in the order of ``named.flat``.

    Raises:
        BadInput: a block of another size than the mask selects.
        NotApplicable: the damped block is not positive definite.
    """
    _check_damping(damping)
    like = dict(b)
    inside = _vector(named.full(like, True) if mask is None else mask, like).bool()
    right = _vector(like, like)[inside]
    if block.shape != (len(right), len(right)):
        raise BadInput(f"a block of {tuple(block.shape)} for {len(right)} selected weights; the two must fit")
    damped = block.double() + damping * torch.eye(len(right), dtype=torch.float64, device=block.device)
    factor, failed = torch.linalg.cholesky_ex(damped)
    if bool(failed):
        raise NotApplicable(
            f"the block is not positive definite with damping {damping:g}: raise it, or use the Gauss-Newton matrix"
        )
    part = torch.cholesky_solve(right[:, None], factor)[:, 0]
    x = torch.zeros(len(inside), dtype=torch.float64, device=block.device).masked_scatter(inside.to(block.device), part)
    size = float(right.norm())
    error = float((right - damped @ part).norm()) / size if size else 0.0
    return Solution({n: t.to(like[n]) for n, t in named.unflat(x, like).items()}, 0, error, error <= 1e-6)


def _solution(x: Tensor, like: Named, residual: Tensor, right: Tensor, made: int, rtol: float) -> Solution:
    size = float(right.norm())
    error = float(residual.norm()) / size if size else 0.0
    values = {name: t.to(like[name]) for name, t in named.unflat(x, like).items()}
    return Solution(values, made, error, error <= rtol)


def _vector(values: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> Tensor:
    # Values read from a file have the same keys in another order.
    named.same_keys(values, like)
    return named.flat({name: values[name] for name in like}).double()


def _check_damping(damping: float, least: bool = False) -> None:
    if not (damping > 0 if least else damping >= 0):
        raise BadInput(f"the damping must be {'>' if least else '>='} 0, got {damping}")


def _indefinite(curvature: float, length: float, damping: float) -> None:
    seen = curvature / length - damping if length else float("nan")
    raise NotApplicable(
        f"the matrix is indefinite: curvature {seen:.3g} was met along a direction, damping {damping:g} included it is "
        f"not positive; raise the damping above {abs(seen):.3g} or use the Gauss-Newton matrix"
    )
