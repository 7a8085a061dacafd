"""Text beside rows: the name of each example in its owner's tables, or the person that it belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self
from uuid import UUID

import numpy as np
import torch
from torch import Tensor

from lacunar.core.errors import BadInput, sample_of
from lacunar.data.ids import as_ids


@dataclass(frozen=True, eq=False)
class Keys:
    """One text per row, in the order of the rows; the same text may stand in several rows.

    Attributes:
        values: NumPy array ``[n]`` of text.
    """

    values: np.ndarray[Any, Any] = field(repr=False)

    @classmethod
    def of(cls, values: Iterable[Any]) -> Self:
        """Keys from text, UUIDs or whole numbers, which become their decimal digits.

        Raises:
            BadInput: a value of another type, or an empty text; its position is named.
        """
        listed = values.tolist() if isinstance(values, (Tensor, np.ndarray)) else list(values)
        texts = [_text(value, i) for i, value in enumerate(listed)]
        return cls(np.array(texts, dtype=np.str_) if texts else np.zeros(0, dtype="<U1"))

    def __len__(self) -> int:
        return len(self.values)

    def take(self, positions: Tensor) -> Keys:
        """The keys at these positions, in this order."""
        return Keys(self.values[positions.cpu().numpy()])

    def __add__(self, other: Keys) -> Keys:
        return Keys(np.concatenate([self.values, other.values]))

    def distinct(self) -> int:
        """How many different keys there are."""
        return len(np.unique(self.values))

    def repeated(self) -> list[str]:
        """The keys that stand in more than one row."""
        values, counts = np.unique(self.values, return_counts=True)
        return [str(value) for value in values[counts > 1]]

    @cached_property
    def _sorted(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        order = np.argsort(self.values, kind="stable")
        return self.values[order], order

    def has(self, wanted: Iterable[Any]) -> list[bool]:
        """Which of ``wanted`` are among these keys."""
        known = set(self.values.tolist())
        return [value in known for value in Keys.of(wanted).values.tolist()]

    def positions(self, wanted: Iterable[Any], what: str = "keys") -> Tensor:
        """The rows that have each of these keys: int64, in the order of ``wanted``, rows of one key in stored order.

        Raises:
            BadInput: a key that no row has; ``what`` names the kind.
        """
        asked = Keys.of(wanted).values
        values, order = self._sorted
        first, end = (np.searchsorted(values, asked, side) for side in ("left", "right"))
        if bool((first == end).any()):
            absent = [repr(str(key)) for key in asked[first == end]]
            raise BadInput(
                f"{len(absent)} of {len(asked)} {what} are not in the data (which has {self.distinct()}): "
                f"{sample_of(absent)}; give them as the data set writes them"
            )
        found = [order[a:b] for a, b in zip(first, end, strict=True)]
        return torch.as_tensor(np.concatenate(found)) if found else torch.zeros(0, dtype=torch.int64)


def is_text(values: Any) -> bool:
    """Whether a list or array holds text or UUIDs and no numbers, going by its first entry."""
    if isinstance(values, (Tensor, str, bytes)) or not hasattr(values, "__iter__"):
        return False
    if isinstance(values, np.ndarray) and values.dtype.kind != "O":
        return bool(values.dtype.kind == "U")
    return isinstance(next(iter(values), None), (str, UUID))


def numbered(ids: Any, n: int, first_id: int = 0) -> tuple[Tensor, Keys | None]:
    """The int64 ids of ``n`` examples, and their names where ``ids`` are text; None stands for positions."""
    if ids is None:
        return torch.arange(n) + first_id, None
    if not is_text(ids):
        return as_ids(ids), None
    names = Keys.of(ids)
    return torch.arange(len(names)) + first_id, names


def check_known_apart(ids: Tensor, names: Keys | None, groups: Keys | None) -> None:
    """Raise :class:`BadInput` unless ids and names are unique, and there are as many names and groups as ids."""
    values, counts = torch.unique(ids, return_counts=True)
    if len(values) != len(ids):
        raise BadInput(f"ids repeat: {sample_of(values[counts > 1].tolist())}; give each example its own id")
    for what, keys in (("names", names), ("groups", groups)):
        if keys is not None and len(keys) != len(ids):
            raise BadInput(f"there are {len(keys)} {what} for {len(ids)} examples; give one for each")
    if names is not None and (twice := names.repeated()):
        raise BadInput(f"names repeat: {sample_of(map(repr, twice))}; give each its own, or give them as groups")


def _text(value: Any, i: int) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip() if isinstance(value, (str, int, UUID)) and not isinstance(value, bool) else ""
    if not text:
        raise BadInput(f"a key is text, a UUID or a whole number, got {value!r:.60} at position {i}")
    return text
