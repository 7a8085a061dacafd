r"""The Gauss-Newton matrix as :math:`R^\top R` with R stored: for direct solves with few examples and many weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lacunar.core.errors import NotApplicable
from lacunar.core.masks import Mask
from lacunar.core.named import Named
from lacunar.curvature.finite import finite
from lacunar.curvature.loss_curvature import basis
from lacunar.curvature.objective import Objective, budget
from lacunar.curvature.per_example import matrix
from lacunar.curvature.stored_rows import STORED_SHARE, StoredRows

GRAMS = 3
"""Matrices of the size of the Gram matrix that a solve holds: itself, damped, and its factor."""


@dataclass(frozen=True, eq=False)
class GgnRoot:
    r"""R ``[n * outputs, free weights]`` with :math:`R^\top R` the Gauss-Newton matrix, and its Gram matrix.

    Attributes:
        keep: bytes that it may take; None for four times the budget of one step.
        rows: R itself, its rows in any order.

    Raises:
        NotApplicable: it does not fit, or the curvature of the loss is not known.
    """

    objective: Objective
    keep: int | None = None
    rows: Tensor = field(init=False, repr=False)
    _stored: StoredRows = field(init=False, repr=False)
    _gram: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        of = self.objective
        room = STORED_SHARE * budget(of.device) if self.keep is None else self.keep
        count, width = len(of.examples) * math.prod(of.output), of.width
        need = count * width * of.dtype.itemsize + GRAMS * 8 * count**2
        if need > room:
            raise NotApplicable(
                f'solver="woodbury" stores matrices of {count} x {width} and {count} x {count}, one row for each logit '
                f'of each example: {need >> 20} MiB, of which {room >> 20} may be used; take fewer examples, or "cg"'
            )
        with of.open():
            object.__setattr__(self, "rows", matrix(of, basis(of)))
        finite(of, of.spread(self.rows.sum(0)))
        object.__setattr__(self, "_stored", StoredRows(of, self.rows))
        object.__setattr__(self, "_gram", self._stored.gram())

    @property
    def free(self) -> Mask | None:
        """The weights that its columns stand for, None for all."""
        return self.objective.free

    def gram(self) -> Tensor:
        r""":math:`R R^\top` in float64; a fresh copy."""
        return self._gram.clone()

    def times(self, v: Mapping[str, Tensor]) -> Tensor:
        """R v in float64."""
        return self._stored.times(v)

    def back(self, a: Tensor) -> Named:
        r""":math:`R^\top a` in float64."""
        return self.objective.result(self._stored.back(a), torch.float64)
