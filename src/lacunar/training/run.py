"""How a job is watched and bounded: what a descent is given besides its data, loss and settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lacunar.core.named import Mask
from lacunar.training.callbacks import Callback
from lacunar.training.checkpoint import Checkpoints


@dataclass
class Run:
    """How a job is watched, and what it used: shared by all descents of one method call or one training.

    Attributes:
        callbacks: observers of every descent.
        checkpoints: None to run without.
        history: one row per epoch of each descent: ``{"descent", "epoch", "loss", "lr", "seconds"}``.
        steps, examples_seen: totals over all descents.
        mask: the mask that a method ended with, when it made one of its own.
        notes: what a reader of the result should know.
        facts: what a method measured of its own work, as JSON values: densities, seconds per phase.
        identity: what the job is besides data, seed and optimiser; checkpoints of another job are refused.
    """

    callbacks: Sequence[Callback] = ()
    checkpoints: Checkpoints | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    examples_seen: int = 0
    mask: Mask | None = None
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    identity: str = ""
    descents: int = 0
