r"""Conjugate gradients for :math:`(C + \alpha_k I) x_k = b` at several :math:`\alpha_k` from one set of products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.named import Mask
from lacunar.curvature.inverse import Matrix, Solution


def shifted(
    matrix: Matrix,
    b: Mapping[str, Tensor],
    dampings: Sequence[float],
    *,
    mask: Mask | None = None,
    rtol: float = 1e-3,
    max_iter: int = 200,
) -> list[Solution]:
    r"""One solution per damping, in the order given, for a positive semi-definite matrix.

    All systems share a Krylov space, and the residual of a larger damping is a known multiple :math:`\zeta` of that of
    the smallest (Jegerlehner, 1996, hep-lat/9612014; Frommer, 2003). So all cost the products of the smallest damping,
    and 2 vectors of memory each; there is no preconditioner. ``residual`` is estimated by the recurrence, not measured.

    Raises:
        BadInput: no damping, or one that is not > 0.
    """
    if not dampings or not min(dampings) > 0:
        raise BadInput(f"dampings must be > 0, got {list(dampings)}")
    like = named.keep(b, mask)
    right = named.flat(like).double()
    low = min(dampings)
    more = torch.tensor([d - low for d in dampings], dtype=torch.float64, device=right.device)
    x, p = torch.zeros(len(more), len(right), dtype=torch.float64, device=right.device), right.repeat(len(more), 1)
    r, direction, rr = right, right, float(right @ right)
    zeta, zeta_before = torch.ones_like(more), torch.ones_like(more)
    alpha, beta_before, size, made = 0.0, 1.0, rr**0.5, 0
    error, iterations = torch.full_like(more, float(size > 0)), torch.zeros_like(more)
    # A system that is solved stands still: going on would divide rounding by rounding.
    going = error > rtol
    while made < max_iter and bool(going.any()):
        given = {name: t.to(like[name]) for name, t in named.unflat(direction, like).items()}
        along = named.flat(named.keep(matrix(given), mask)).double() + low * direction
        beta = -rr / float(direction @ along)
        below = beta * alpha * (zeta_before - zeta) + zeta_before * beta_before * (1 - more * beta)
        following = zeta * zeta_before * beta_before / below
        ratio = following / zeta
        x = torch.where(going[:, None], x - (beta * ratio)[:, None] * p, x)
        r = r + beta * along
        rr, alpha = float(r @ r), float(r @ r) / rr
        p = following[:, None] * r + (alpha * ratio**2)[:, None] * p
        direction = r + alpha * direction
        zeta_before, zeta, beta_before, made = zeta, following, beta, made + 1
        error = torch.where(going, zeta.abs() * rr**0.5 / size, error)
        iterations[going] = made
        going = going & (error > rtol)
    return [_solution(x[k], like, int(iterations[k]), float(error[k]), rtol) for k in range(len(more))]


def _solution(x: Tensor, like: named.Named, made: int, error: float, rtol: float) -> Solution:
    values = {name: t.to(like[name]) for name, t in named.unflat(x, like).items()}
    return Solution(values, made, error, error <= rtol)
