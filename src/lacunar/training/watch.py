"""How a job is watched: what goes into it besides its data, loss and settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lacunar.training.callbacks import Callback
from lacunar.training.checkpoint import Checkpoints


@dataclass(frozen=True)
class Watch:
    """How a job is watched; what comes out of it is a :class:`~lacunar.training.log.Log`.

    Attributes:
        callbacks: observers of every descent of the job.
        checkpoints: where it may go on from after an interruption; None to run without.
    """

    callbacks: Sequence[Callback] = ()
    checkpoints: Checkpoints | None = None


Watches: TypeAlias = Callable[[str], Watch]
"""How each of several trainings is watched: its title to a :class:`Watch`."""
