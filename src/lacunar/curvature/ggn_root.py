r"""The Gauss-Newton matrix as :math:`R^\top R` with R stored: for direct solves with few examples and many weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from lacunar.core.errors import NotApplicable
from lacunar.core.named import Mask, Named
from lacunar.curvature import ggn
from lacunar.curvature.objective import Objective, budget
from lacunar.curvature.per_example import STORED_SHARE, outer
from lacunar.data.examples import Source
from lacunar.training.recipe import Recipe

GRAMS = 3
"""Matrices of the size of the Gram matrix that a solve holds: itself, damped, and its factor."""


@dataclass(frozen=True, eq=False)
class GgnRoot:
    """R ``[n * outputs, selected weights]`` of :func:`lacunar.curvature.ggn.root` as an operator, with its Gram matrix.

    Attributes:
        keep: bytes that it may take; None for four times the budget of one step.

    Raises:
        NotApplicable: it does not fit, or the curvature of the loss is not known.
    """

    model: nn.Module
    examples: Source
    recipe: Recipe
    mask: Mask | None = None
    keep: int | None = None
    _objective: Objective = field(init=False, repr=False)
    _stored: Tensor = field(init=False, repr=False)
    _gram: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        objective = Objective.of(self.model, self.examples, self.recipe, self.mask)
        room = STORED_SHARE * budget(objective.device) if self.keep is None else self.keep
        count, width = len(self.examples) * math.prod(objective.output), len(objective.vector(objective.weights))
        need = count * width * objective.dtype.itemsize + GRAMS * 8 * count**2
        if need > room:
            raise NotApplicable(
                f'solver="woodbury" stores matrices of {count} x {width} and {count} x {count}, one row for each logit '
                f'of each example: {need >> 20} MiB, of which {room >> 20} may be used; take fewer examples, or "cg"'
            )
        object.__setattr__(self, "_objective", objective)
        object.__setattr__(self, "_stored", ggn.root(self.model, self.examples, self.recipe, self.mask))
        object.__setattr__(self, "_gram", outer(self._stored, budget(objective.device)))

    def gram(self) -> Tensor:
        r""":math:`R R^\top` in float64; a fresh copy."""
        return self._gram.clone()

    def times(self, v: Mapping[str, Tensor]) -> Tensor:
        """R v in float64."""
        return (self._stored @ self._objective.vector(v).to(self._stored)).double()

    def back(self, a: Tensor) -> Named:
        r""":math:`R^\top a`."""
        return self._objective.result(self._objective.spread(a.to(self._stored) @ self._stored))
