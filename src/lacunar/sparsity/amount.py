"""How many of some weights are chosen: as a value that depends on their number, and as counts."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from lacunar.core.errors import BadInput, sample_of

Counts: TypeAlias = int | Mapping[str, int]
"""How many weights are chosen: in all, or per weight tensor by name."""


class Amount(ABC):
    """A number of weights that depends on how many there are; ``str`` says it in words."""

    @abstractmethod
    def of(self, size: int) -> int:
        """How many of ``size`` weights are chosen."""


@dataclass(frozen=True)
class Share(Amount):
    """``floor(share * size)``, share in (0, 1]."""

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise BadInput(f"share must be in (0, 1], got {self.share}; write 0.05 for 5 %")

    def of(self, size: int) -> int:
        # The tolerance undoes representation error: 29 % of 100 weights are 29.
        return math.floor(self.share * size + 1e-9)

    def __str__(self) -> str:
        return f"a share of {self.share:g}"


@dataclass(frozen=True)
class Rest(Amount):
    """What is left when ``round(sparsity * size)`` are pruned, sparsity in [0, 1)."""

    sparsity: float

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise BadInput(f"sparsity is the share of weights to prune, in [0, 1), got {self.sparsity}")

    def of(self, size: int) -> int:
        return size - round(self.sparsity * size)

    def __str__(self) -> str:
        return f"the rest of a share of {self.sparsity:g}"


@dataclass(frozen=True)
class Count(Amount):
    """Exactly so many, at least 1, whatever the size."""

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise BadInput(f"count must be at least 1, got {self.count}")

    def of(self, size: int) -> int:
        return self.count

    def __str__(self) -> str:
        return str(self.count)


def checked(counts: Counts, room: Mapping[str, int], dense: Mapping[str, int]) -> int | dict[str, int]:
    """``counts`` of the tensors in ``room``, after a check that so many can live there.

    Args:
        room: the most that each tensor in scope can keep.
        dense: the sizes of tensors out of scope, whose counts may be given but not differ.

    Raises:
        BadInput: counts that cannot be kept, lack a tensor, or name one out of scope.
    """
    if isinstance(counts, int):
        if not 0 <= counts <= sum(room.values()):
            raise BadInput(f"cannot keep {counts}: {sum(room.values())} in scope are live")
        return counts
    if wrong := sorted(name for name, k in counts.items() if name not in room and k != dense.get(name)):
        raise BadInput(f"counts name {sample_of(wrong)}, which this scope does not prune")
    if missing := sorted(set(room) - set(counts)):
        raise BadInput(f"counts lack {sample_of(missing)}; give one for each weight in scope, or one total")
    if wrong := sorted(name for name, most in room.items() if not 0 <= counts[name] <= most):
        raise BadInput(f"cannot keep {counts[wrong[0]]} of {wrong[0]}: {room[wrong[0]]} are live")
    return {name: counts[name] for name in room}


def total(counts: Counts) -> int:
    """How many weights these counts are in all."""
    return counts if isinstance(counts, int) else sum(counts.values())


def live_counts(mask: Mapping[str, Tensor]) -> dict[str, int]:
    """Live weights of every tensor of a mask: what ``counts`` takes, to prune another model to the same numbers."""
    return {name: int(part.sum()) for name, part in mask.items()}
