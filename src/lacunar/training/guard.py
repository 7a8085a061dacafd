"""Stop before the model is no longer of use."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lacunar.core.errors import BadInput
from lacunar.data.examples import Source
from lacunar.training import forward
from lacunar.training.callbacks import Callback, Loop
from lacunar.training.keep import KeptWeights


@dataclass
class Guard(Callback):
    """Stop and roll back when the accuracy on ``examples`` falls by more than ``drop`` below its starting value.

    Measured before the first step and every ``every_epochs`` epochs, in eval mode; the weights of the last measurement
    that was good enough are the ones that remain.

    Attributes:
        examples: retained examples (a sample is enough).
        prepare: the recipe's input preparation.
        drop: the largest tolerated fall of accuracy, in [0, 1].
    """

    examples: Source
    prepare: forward.Prepare
    drop: float = 0.1
    every_epochs: int = 1
    _start: Tensor | None = field(default=None, init=False, repr=False)
    _good: KeptWeights = field(default_factory=KeptWeights, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.drop <= 1:
            raise BadInput(f"drop is a share of examples in [0, 1], got {self.drop}")

    def on_start(self, loop: Loop) -> None:
        if self._start is None:
            self._start = torch.tensor(self._accuracy(loop.model), dtype=torch.float64)
            self._good.keep(loop.model)

    def on_epoch(self, loop: Loop) -> None:
        if (loop.epoch + 1) % self.every_epochs:
            return
        assert self._start is not None
        start, now = float(self._start), self._accuracy(loop.model)
        if now >= start - self.drop:
            self._good.keep(loop.model)
            return
        self._good.put_back(loop.model)
        loop.stop(f"retained accuracy fell from {start:.3f} to {now:.3f}; rolled back to the last good epoch")

    def _accuracy(self, model: nn.Module) -> float:
        return forward.accuracy(model, self.examples, self.prepare)

    def state(self) -> dict[str, Tensor]:
        assert self._start is not None
        return {"start": self._start, **self._good.state()}

    def restore(self, state: dict[str, Tensor]) -> None:
        self._start = state["start"]
        self._good.restore(state)
