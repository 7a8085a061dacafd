"""Some examples at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

Inputs: TypeAlias = Tensor | dict[str, Tensor]
"""What a model takes: one tensor ``[n, ...]`` or a dict of them."""


@dataclass(frozen=True)
class Batch:
    """Some examples and where the loop stands: ``progress`` in [0, 1) is the share of all steps already made."""

    x: Inputs
    y: Tensor
    ids: Tensor
    progress: float = 0.0
    epoch: int = 0
    step: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def smallest(self) -> int:
        """The number of examples in the smallest stream: here the only one."""
        return len(self)


@dataclass(frozen=True)
class NamedBatches:
    """One batch of each of several streams: ``batch["retain"]``.

    Attributes:
        parts: by the name of the stream; an ``epoch`` in them counts the passes over their own stream.
    """

    parts: dict[str, Batch]
    progress: float = 0.0
    epoch: int = 0
    step: int = 0

    def __getitem__(self, name: str) -> Batch:
        return self.parts[name]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts.values())

    @property
    def smallest(self) -> int:
        """The number of examples in the smallest stream."""
        return min(len(part) for part in self.parts.values())


class Batches(Protocol):
    """What the training loop iterates over."""

    def epoch_ends(self, size: int, epochs: int) -> list[int]:
        """How many steps have been made at the end of each epoch."""

    def batches(self, size: int, epochs: int = 1, seed: int | None = None, start: int = 0) -> Iterator[Any]:
        """The batches from step ``start`` on; ``seed`` orders them, None keeps the stored order."""

    def digest(self) -> str:
        """What identifies the examples, as a hex string."""


def rows(x: Inputs, index: Tensor) -> Inputs:
    """The rows ``index`` of a tensor or of each tensor of a dict."""
    if isinstance(x, dict):
        return {key: value[index] for key, value in x.items()}
    return x[index]


def move(x: Inputs, device: torch.device | str) -> Inputs:
    """``x`` on ``device``."""
    if isinstance(x, dict):
        return {key: value.to(device, non_blocking=True) for key, value in x.items()}
    return x.to(device, non_blocking=True)
