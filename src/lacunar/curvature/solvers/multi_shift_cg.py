"""Conjugate gradients at several dampings from one set of products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lacunar.core import masks
from lacunar.core.errors import BadInput
from lacunar.curvature.solvers._vectors import check_iteration, unvector, vector
from lacunar.curvature.solvers.cg import Operator
from lacunar.curvature.solvers.solution import Solution


@dataclass(frozen=True)
class MultiShiftCg:
    r"""Conjugate gradients for :math:`(C + \alpha_k I) x_k = b`, C positive semi-definite.

    All systems share a Krylov space, and the residual of a larger damping is a known multiple :math:`\zeta` of that of
    the smallest (Jegerlehner, 1996, hep-lat/9612014; Frommer, 2003). So all cost the products of the smallest damping,
    and 2 vectors of memory each; there is no preconditioner. Residuals are estimated by the recurrence, not measured.

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

    def solve(self, matrix: Operator, b: Mapping[str, Tensor], dampings: Sequence[float]) -> list[Solution]:
        r"""One solution per damping :math:`\alpha_k > 0`, in the order given.

        Raises:
            BadInput: no damping, or one that is not > 0.
        """
        if not dampings or not min(dampings) > 0:
            raise BadInput(f"dampings must be > 0, got {list(dampings)}")
        like, low = masks.keep(b, matrix.free), min(dampings)
        right = vector(like, like)

        def times(v: Tensor) -> Tensor:
            return vector(masks.keep(matrix(unvector(v, like)), matrix.free), like) + low * v

        state = _Krylov(right, torch.tensor([d - low for d in dampings], dtype=torch.float64, device=right.device))
        while state.made < self.max_iter and bool((state.error > self.rtol).any()):
            state.step(times(state.direction), self.rtol)
        return [
            Solution(unvector(x, like), int(made), float(error), float(error) <= self.rtol, measured=False)
            for x, made, error in zip(state.x, state.iterations, state.error, strict=True)
        ]


class _Krylov:
    """The recurrences of the smallest damping (r, direction) and of all of them (x, p, zeta)."""

    def __init__(self, right: Tensor, more: Tensor) -> None:
        self.more, self.made = more, 0
        self.r, self.direction, self.rr = right, right, float(right @ right)
        self.x = torch.zeros(len(more), len(right), dtype=torch.float64, device=right.device)
        self.p = right.repeat(len(more), 1)
        self.zeta, self.before = torch.ones_like(more), torch.ones_like(more)
        self.alpha, self.beta, self.size = 0.0, 1.0, self.rr**0.5
        self.error = torch.full_like(more, float(self.size > 0))
        self.iterations = torch.zeros_like(more)

    def step(self, along: Tensor, rtol: float) -> None:
        # A system that is solved stands still: going on would divide rounding by rounding.
        going, beta = self.error > rtol, -self.rr / float(self.direction @ along)
        below = beta * self.alpha * (self.before - self.zeta) + self.before * self.beta * (1 - self.more * beta)
        following = self.zeta * self.before * self.beta / below
        ratio = following / self.zeta
        self.x = torch.where(going[:, None], self.x - (beta * ratio)[:, None] * self.p, self.x)
        self.r = self.r + beta * along
        after = float(self.r @ self.r)
        self.alpha, self.rr = after / self.rr, after
        self.p = following[:, None] * self.r + (self.alpha * ratio**2)[:, None] * self.p
        self.direction = self.r + self.alpha * self.direction
        self.before, self.zeta, self.beta, self.made = self.zeta, following, beta, self.made + 1
        self.error = torch.where(going, self.zeta.abs() * self.rr**0.5 / self.size, self.error)
        self.iterations[going] = self.made
