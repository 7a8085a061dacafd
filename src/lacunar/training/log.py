"""What a job leaves beside its model: work done, notes for the reader, facts that it measured of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lacunar.core.masks import Mask


@dataclass
class Log:
    """What came out of a job: shared by all descents of one method call or one training.

    Attributes:
        history: one row per epoch of each descent: ``{"descent", "epoch", "loss", "lr", "seconds"}``.
        steps, examples_seen: totals over all descents.
        mask: the mask that a method ended with, when it made one of its own.
        notes: what a reader of the result should know.
        facts: what a method measured of its own work, as JSON values: densities, seconds per phase.
        identity: what the job is besides data, seed and optimiser; checkpoints of another job are refused.
        descents: how many descents have begun.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    examples_seen: int = 0
    mask: Mask | None = None
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    identity: str = ""
    descents: int = 0

    def absorb(self, inner: Log) -> None:
        """Take over what a part of the job has left; its descents were numbered on from those of the whole."""
        self.history += inner.history
        self.steps += inner.steps
        self.examples_seen += inner.examples_seen
        self.mask = self.mask if inner.mask is None else inner.mask
        self.notes += inner.notes
        self.facts |= inner.facts
        self.descents = inner.descents
