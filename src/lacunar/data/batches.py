"""Some examples at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

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


@dataclass(frozen=True)
class PairedBatch:
    """One batch of the retained and one of the forgotten examples, for methods that weigh one against the other."""

    retain: Batch
    forget: Batch
    progress: float = 0.0
    epoch: int = 0
    step: int = 0

    def __len__(self) -> int:
        return len(self.retain) + len(self.forget)


class Batches(Protocol):
    """What the training loop iterates over."""

    def steps(self, size: int) -> int:
        """The number of batches in an epoch."""

    def batches(
        self, size: int, epochs: int = 1, seed: int | None = None, start: int = 0
    ) -> Iterator[Batch] | Iterator[PairedBatch]:
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
