"""``doctor``: what is on this machine."""

from __future__ import annotations

from pathlib import Path

from lacunar.jobs.told import Told
from lacunar.machine.doctor import examine


def perform() -> Told:
    """Versions, processor features, threads, GPUs, allocator, data folders, write permission here."""
    return Told(examine(Path.cwd()))
