"""What a job is: a request that was checked, done, saved and told; and how one is carried out in a folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from lacunar.core.errors import Diverged
from lacunar.jobs.run_folder import CHECKPOINTS, claim, claimed
from lacunar.jobs.told import Told
from lacunar.machine.memory import keep_memory
from lacunar.training.checkpoint import Checkpoints
from lacunar.training.progress_report import Report
from lacunar.training.watch import Watch

Made = TypeVar("Made")

Say = Callable[[str], None]
"""Tells a person something while a job is under way."""


class Job(ABC, Generic[Made]):
    """A checked request that leaves its result in a folder. One frozen dataclass per verb.

    Class attributes:
        result: the file that is written last: when it is there, the job is finished.
    """

    result: ClassVar[str]

    @property
    @abstractmethod
    def title(self) -> str:
        """What is under way, for a progress bar."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """What request.json holds, see :func:`~lacunar.jobs.run_folder.record`."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before anything is done."""
        return ()

    @abstractmethod
    def do(self, watch: Watch) -> Made:
        """Compute the result; nothing is written but checkpoints."""

    @abstractmethod
    def save(self, folder: Path, made: Made) -> None:
        """Write the result, the file ``result`` last."""

    @abstractmethod
    def tell(self, folder: Path) -> Told:
        """What is said of a result that is saved."""


def perform(
    job: Job[Made], folder: Path, *, force: bool = False, seconds: float = 60.0, say: Say | None = None
) -> Told:
    """Carry a job out in its folder, or go on with it, or read what it has left there.

    Args:
        force: replace the run that the folder holds.
        seconds: between checkpoints.
        say: takes notes; None to be quiet, without progress.

    Raises:
        BadInput: the folder holds something else, or another command is at work in it.
    """
    keep_memory()
    if say is not None:
        for note in job.notes:
            say(f"note: {note}")
    checkpoints = Checkpoints(folder / CHECKPOINTS, seconds)
    with claimed(folder, job.record(), job.result, force=force) as finished:
        if not finished:
            try:
                made = job.do(Watch(() if say is None else (Report(job.title),), checkpoints))
            except Diverged:
                # The remedy is another setting, which would be another request: this one leaves nothing behind.
                checkpoints.clear()
                raise
            job.save(folder, made)
        checkpoints.clear()
    return job.tell(folder)


def may_perform(job: Job[Any], folder: Path, *, force: bool = False) -> None:
    """Raise :class:`BadInput` unless the job may use the folder; nothing is written."""
    claim(folder, job.record(), job.result, force=force)
