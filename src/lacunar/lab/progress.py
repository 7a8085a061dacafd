"""What a person sees while an experiment runs: a bar on a terminal, a line per finished task elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from lacunar.lab.record import Line


class Progress:
    """Counts finished tasks on standard error; says nothing when ``quiet``."""

    def __init__(self, total: int, quiet: bool, out: TextIO | None = None) -> None:
        self.total, self.quiet, self.out = total, quiet, out or sys.stderr
        self.finished, self.began = 0, time.monotonic()
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        live = not quiet and self.out.isatty()
        self.bar = Bar(*columns, console=Console(file=self.out), transient=True) if live else None
        self.task = self.bar.add_task("", total=total) if self.bar else None

    def __enter__(self) -> Self:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    def doing(self, what: str) -> None:
        """A task begins."""
        if self.bar and self.task is not None:
            self.bar.update(self.task, description=what)

    def done(self, what: str, found: Sequence[Line] = ()) -> None:
        """A task has ended, and this is to be written of it."""
        self.finished += 1
        trouble = "".join(f" · {line.trouble}" for line in found if line.trouble)
        if self.bar and self.task is not None:
            self.bar.update(self.task, completed=self.finished)
        if trouble or not self.bar:
            self._say(f"[{self.finished}/{self.total}, {time.monotonic() - self.began:.0f} s] {what}{trouble}")

    def further(self, tasks: int) -> None:
        """There are so many more tasks than was thought; fewer if negative."""
        self.total += tasks
        if self.bar and self.task is not None:
            self.bar.update(self.task, total=self.total)

    def edited(self, counts: Mapping[str, int]) -> None:
        """These plug-ins have other sources than when so many of their cells were run."""
        for line, count in counts.items():
            self._say(f"the source of {line} has changed: {count} of its cells are run again")

    def _say(self, text: str) -> None:
        if not self.quiet:
            print(text, file=self.out, flush=True)
