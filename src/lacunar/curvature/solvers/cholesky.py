"""The direct solve for a small block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lacunar.core import masks
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.masks import Mask
from lacunar.curvature.solvers._vectors import check_damping, unvector, vector
from lacunar.curvature.solvers.solution import Solution

EXACT = 1e-6


class Dense(Protocol):
    """A matrix C that can be stored."""

    @property
    def free(self) -> Mask | None:
        """The weights whose block is meant, None for all."""

    @property
    def dense(self) -> Tensor:
        """The block ``[s, s]`` of the free weights, in the order of ``named.flat``."""


@dataclass(frozen=True)
class Cholesky:
    """The factor of the damped block, in float64.

    Attributes:
        most: weights that may be free.
    """

    most: int = 3000

    def solve(self, matrix: Dense, b: Mapping[str, Tensor], damping: float) -> Solution:
        r"""The solution for one damping :math:`\alpha \ge 0`.

        Raises:
            BadInput: a negative damping, or a block of another size than there are free weights.
            NotApplicable: too many weights, or a damped block that is not positive definite.
        """
        check_damping(damping)
        like = dict(b)
        inside = vector(masks.full(like, True) if matrix.free is None else matrix.free, like).bool()
        right = vector(like, like)[inside]
        if len(right) > self.most:
            raise NotApplicable(
                f'solver="cholesky" stores a matrix and is for at most {self.most} weights, not {len(right)}; use "cg"'
            )
        damped = _damped(matrix.dense, len(right), damping)
        factor, failed = torch.linalg.cholesky_ex(damped)
        if bool(failed):
            raise NotApplicable(
                f"the block is not positive definite with damping {damping:g}: raise it, or use the Gauss-Newton matrix"
            )
        part = torch.cholesky_solve(right[:, None], factor)[:, 0]
        x = torch.zeros(len(inside), dtype=torch.float64, device=part.device)
        x = x.masked_scatter(inside.to(part.device), part)
        size = float(right.norm())
        error = float((right - damped @ part).norm()) / size if size else 0.0
        return Solution(unvector(x, like), 0, error, error <= EXACT)


def _damped(block: Tensor, width: int, damping: float) -> Tensor:
    if block.shape != (width, width):
        raise BadInput(f"a block of {tuple(block.shape)} for {width} selected weights; the two must fit")
    return block.double() + damping * torch.eye(width, dtype=torch.float64, device=block.device)
