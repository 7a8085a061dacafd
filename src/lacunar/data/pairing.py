"""Several streams of batches side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from lacunar.core.rng import seed_of
from lacunar.data.batches import Batch, PairedBatch
from lacunar.data.examples import Source

_ENDLESS = 1 << 40


@dataclass(frozen=True)
class Pair:
    """Retained and forgotten examples side by side; see :func:`pair`."""

    retain: Source
    forget: Source

    def steps(self, size: int) -> int:
        return max(self.retain.steps(size), self.forget.steps(size))

    def batches(self, size: int, epochs: int = 1, seed: int | None = None, start: int = 0) -> Iterator[PairedBatch]:
        per_epoch, total = self.steps(size), self.steps(size) * epochs
        first = _endless(self.retain, size, seed, "retain", start)
        second = _endless(self.forget, size, seed, "forget", start)
        for step in range(start, total):
            yield PairedBatch(next(first), next(second), step / total, step // per_epoch, step)

    def digest(self) -> str:
        return hashlib.sha256((self.retain.digest() + self.forget.digest()).encode()).hexdigest()


def _endless(source: Source, size: int, seed: int | None, name: str, start: int) -> Iterator[Batch]:
    own = None if seed is None else seed_of(seed, name)
    yield from source.batches(size, _ENDLESS, own, start)


def pair(retain: Source, forget: Source) -> Pair:
    """Two streams, batch beside batch: an epoch is one pass over the longer, the shorter is reshuffled and repeated."""
    return Pair(retain, forget)
