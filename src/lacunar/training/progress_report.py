"""How far a descent is, on standard error."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from lacunar.training.callbacks import Callback, Loop


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
