r"""The direct solve for a matrix with few rows: :math:`C = R^\top R`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.core.masks import Mask
from lacunar.core.named import Named
from lacunar.curvature.solvers._vectors import check_damping
from lacunar.curvature.solvers.solution import Solution


class Rows(Protocol):
    """A matrix R with one row per example: see :class:`lacunar.curvature.gradient_rows.GradientRows`."""

    @property
    def free(self) -> Mask | None:
        """The weights that its columns stand for, None for all."""

    def gram(self) -> Tensor:
        """R Rᵀ in float64."""

    def times(self, v: Mapping[str, Tensor]) -> Tensor:
        """R v in float64."""

    def back(self, a: Tensor) -> Named:
        """Rᵀ a in float64."""


class Rooted(Protocol):
    """A matrix C with a root."""

    @property
    def root(self) -> Rows:
        """R with C = Rᵀ R."""


@dataclass(frozen=True, eq=False)
class FromRows:
    """The matrix Rᵀ R, for conjugate gradients too."""

    root: Rows
    diagonal: None = None

    @property
    def free(self) -> Mask | None:
        """Those of the rows."""
        return self.root.free

    def __call__(self, v: Mapping[str, Tensor], /) -> Named:
        return self.root.back(self.root.times(v))


@dataclass(frozen=True)
class Woodbury:
    r"""The exact solve :math:`x = (b - R^\top(\alpha I + RR^\top)^{-1}Rb)/\alpha`.

    All of it is float64, x included, since R enters twice and its rounding would be divided by :math:`\alpha`; the
    solution is refined with the same factor until its residual is small.

    Attributes:
        rtol: of the residual, relative to b.
        refinements: at most.

    Raises:
        BadInput: a tolerance that is not > 0, or a negative number of refinements.
    """

    rtol: float = 1e-4
    refinements: int = 3

    def __post_init__(self) -> None:
        if not self.rtol > 0 or self.refinements < 0:
            raise BadInput(f"rtol must be > 0 and refinements >= 0, got {self.rtol} and {self.refinements}")

    def solve(self, matrix: Rooted, b: Mapping[str, Tensor], damping: float) -> Solution:
        r"""The solution for one damping :math:`\alpha > 0`.

        Raises:
            BadInput: a damping that is not > 0.
        """
        check_damping(damping, positive=True)
        rows = matrix.root
        like = masks.keep(b, rows.free)
        small = rows.gram()
        small.diagonal().add_(damping)
        factor = torch.linalg.cholesky(small)

        def solve(right: Named) -> Named:
            inner = torch.cholesky_solve(rows.times(right)[:, None], factor)[:, 0]
            return named.scale(named.add(right, rows.back(inner), -1.0), 1.0 / damping)

        def left(x: Named) -> Named:
            return named.add(like, named.add(named.scale(x, damping), rows.back(rows.times(x))), -1.0)

        x, size, steps = solve(like), named.norm(like), 0
        residual = left(x)
        while named.norm(residual) > self.rtol * size and steps < self.refinements:
            x, steps = named.add(x, solve(residual)), steps + 1
            residual = left(x)
        error = named.norm(residual) / size if size else 0.0
        return Solution(x, steps, error, error <= self.rtol)
