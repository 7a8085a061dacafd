"""What may watch a descent: progress reports, the utility guard, and a user's own observers."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from lacunar.core.errors import BadInput
from lacunar.data.examples import Source
from lacunar.training import forward

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


@dataclass
class Report(Callback):
    """A progress bar on a terminal, one line per epoch elsewhere; on standard error."""

    title: str = "training"
    out: TextIO = field(default_factory=lambda: sys.stderr)
    _bar: Progress | None = field(default=None, init=False, repr=False)
    _task: Any = field(default=None, init=False, repr=False)
    _last: float = field(default=0.0, init=False, repr=False)

    def on_start(self, loop: Loop) -> None:
        if self.out.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
            self._bar = Progress(
                *columns,
                TimeRemainingColumn(),
                console=Console(file=self.out),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._bar.add_task(self.title, total=loop.steps, completed=loop.step, note="")
            self._bar.start()

    def on_step(self, loop: Loop) -> None:
        if self._bar is not None and time.monotonic() - self._last > 0.2:
            self._last = time.monotonic()
            self._bar.update(self._task, completed=loop.step + 1)

    def on_epoch(self, loop: Loop) -> None:
        loss = "" if loop.loss is None else f"loss {loop.loss:.4f}"
        if self._bar is not None:
            self._bar.update(self._task, completed=loop.step + 1, note=f"epoch {loop.epoch + 1}/{loop.epochs} {loss}")
        else:
            print(f"{self.title}: epoch {loop.epoch + 1}/{loop.epochs} {loss}", file=self.out, flush=True)

    def on_end(self, loop: Loop) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_abort(self, loop: Loop) -> None:
        self.on_end(loop)


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
    _good: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.drop <= 1:
            raise BadInput(f"drop is a share of examples in [0, 1], got {self.drop}")

    def _accuracy(self, model: nn.Module) -> float:
        z = forward.two_sided(forward.predict(model, self.examples, self.prepare))
        return float((z.argmax(1) == self.examples.y.cpu()).double().mean())

    def _remember(self, model: nn.Module) -> None:
        self._good = {name: t.detach().clone() for name, t in model.state_dict().items()}

    def on_start(self, loop: Loop) -> None:
        if self._start is None:
            self._start = torch.tensor(self._accuracy(loop.model), dtype=torch.float64)
            self._remember(loop.model)

    def on_epoch(self, loop: Loop) -> None:
        if (loop.epoch + 1) % self.every_epochs:
            return
        assert self._start is not None
        start, now = float(self._start), self._accuracy(loop.model)
        if now >= start - self.drop:
            self._remember(loop.model)
            return
        loop.model.load_state_dict(self._good)
        loop.stop(f"retained accuracy fell from {start:.3f} to {now:.3f}; rolled back to the last good epoch")

    def state(self) -> dict[str, Tensor]:
        assert self._start is not None
        return {"start": self._start, **{f"good.{name}": t for name, t in self._good.items()}}

    def restore(self, state: dict[str, Tensor]) -> None:
        self._start = state["start"]
        self._good = {name.removeprefix("good."): t for name, t in state.items() if name != "start"}
