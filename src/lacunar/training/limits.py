"""What the training loop may and may not move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lacunar.core.masks import Mask
from lacunar.core.named import Named


@dataclass(frozen=True)
class Limits:
    """What the loop may and may not move.

    Attributes:
        mask: live weights; all others stay exactly 0, with their momentum.
        where: weights that may move; all others stay bit-equal.
        factors: each weight's gradient is multiplied by its factor.
        transform: a function Named -> Named on the gradients, after clipping.
    """

    mask: Mask | None = None
    where: Mask | None = None
    factors: Named | None = None
    transform: Callable[[Named], Named] | None = None
