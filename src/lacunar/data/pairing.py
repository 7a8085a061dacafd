"""Several streams of batches side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from lacunar.core.errors import BadInput
from lacunar.core.rng import seed_of
from lacunar.data.batches import Batch, NamedBatches
from lacunar.data.examples import Source, epoch_ends

_ENDLESS = 1 << 40


@dataclass(frozen=True)
class Pair:
    """Streams of examples by name; see :func:`pair`."""

    streams: Mapping[str, Source]

    def steps(self, size: int) -> int:
        """Batches in an epoch: those of the longest stream."""
        return max(source.steps(size) for source in self.streams.values())

    def epoch_ends(self, size: int, epochs: int) -> list[int]:
        """How many steps have been made at the end of each epoch."""
        return epoch_ends(self.steps(size), epochs)

    def batches(self, size: int, epochs: int = 1, seed: int | None = None, start: int = 0) -> Iterator[NamedBatches]:
        """A batch of each stream at a time, from step ``start`` on."""
        per_epoch, total = self.steps(size), self.steps(size) * epochs
        running = {name: _endless(source, size, seed, name, start) for name, source in self.streams.items()}
        for step in range(start, total):
            now = step / total
            parts = {name: replace(next(stream), progress=now, step=step) for name, stream in running.items()}
            yield NamedBatches(parts, now, step // per_epoch, step)

    def digest(self) -> str:
        """What identifies the examples, as a hex string."""
        parts = [f"{name}={source.digest()}" for name, source in self.streams.items()]
        return hashlib.sha256("|".join(parts).encode()).hexdigest()


def _endless(source: Source, size: int, seed: int | None, name: str, start: int) -> Iterator[Batch]:
    own = None if seed is None else seed_of(seed, name)
    yield from source.batches(size, _ENDLESS, own, start)


def pair(**streams: Source) -> Pair:
    """Streams by name, batch beside batch: an epoch is one pass over the longest, shorter ones begin anew.

    Each stream is shuffled by a seed of its own name, so that one stream more leaves the others as they were.

    Raises:
        BadInput: no stream, or one without examples.
    """
    if not streams:
        raise BadInput("pair() got no streams; name some: pair(retain=..., forget=...)")
    if empty := [name for name, source in streams.items() if len(source) == 0]:
        raise BadInput(f"the stream {empty[0]!r} has no examples; leave it out of pair()")
    return Pair(streams)
