"""What may watch a descent, and what it sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from lacunar.core.masks import Mask


@dataclass
class Loop:
    """Where a descent stands; what callbacks see.

    Attributes:
        model: the model in training; callbacks may change its weights.
        steps, epochs: totals of this descent; ``step`` and ``epoch`` count from 0.
        progress: step / steps of the step just made.
        lr: the learning rate of the step just made.
        examples: examples used so far, both streams of a pair counted.
        mask: live weights; a callback may replace it, and from then on zeros outside it are kept.
        loss: mean loss of the last read-out, None before the first.
    """

    model: nn.Module
    steps: int
    epochs: int
    step: int = 0
    epoch: int = 0
    progress: float = 0.0
    lr: float = 0.0
    examples: int = 0
    mask: Mask | None = None
    loss: float | None = None
    stopped: str | None = None

    def stop(self, reason: str) -> None:
        """End the descent after this step; ``reason`` goes into the history."""
        self.stopped = reason


class Callback:
    """An observer of a descent; every hook does nothing unless overridden.

    A callback with a memory returns it from :meth:`state` as tensors, so that an interrupted descent can go on.
    """

    def on_start(self, loop: Loop) -> None:
        """Before the first step."""

    def on_step(self, loop: Loop) -> None:
        """After each step, before masks are enforced. Must not read values back from the device."""

    def on_epoch(self, loop: Loop) -> None:
        """After the last step of an epoch, masks enforced, ``loop.loss`` read."""

    def on_end(self, loop: Loop) -> None:
        """After the last step, also when stopped early."""

    def on_abort(self, loop: Loop) -> None:
        """When an error or an interruption ends the descent."""

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must keep."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """The inverse of :meth:`state`."""
