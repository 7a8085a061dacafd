"""Reading the list of ids, names or people that must be forgotten."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lacunar.core.errors import BadInput
from lacunar.data.cells import Cells, read_cells
from lacunar.data.examples import Source
from lacunar.data.keys import Keys

_WHOLE = re.compile(r"([+-]?\d{1,40})(\.0*)?")
BY = ("id", "group")


def read_ids(path: Path | str, column: str | None = None) -> Tensor:
    """The whole numbers in a file, in its order, repetitions included: int64 ``[n]``.

    Raises:
        BadInput: as :func:`lacunar.data.cells.read_cells`, or an entry that is not a whole number (its row is named,
            counted from 1 with the heading).
    """
    cells = read_cells(path, column)
    first = cells.entries[0][1] if cells.entries else ""
    headed = cells.heading and (first[:1].isalpha() or first.startswith("_"))
    found = [_number(path, place, cell) for place, cell in cells.entries[headed:]]
    return torch.tensor(found, dtype=torch.int64)


def read_keys(path: Path | str, known: Keys, column: str | None = None) -> list[str]:
    """The names or groups in a file, in its order, repetitions included.

    The first row of a csv file is taken for a heading unless it is among ``known``.

    Raises:
        BadInput: as :func:`lacunar.data.cells.read_cells`, or an entry that is not among ``known`` (its row is named).
    """
    cells = read_cells(path, column)
    listed = _without_heading(cells, known)
    values = [_key(path, place, cell) for place, cell in listed]
    for (place, _), value, there in zip(listed, values, known.has(values), strict=True):
        if not there:
            raise BadInput(f"{place} of {str(path)!r} is {value[:60]!r}, which the data set does not have")
    return values


def requested(path: Path | str, data: Source, column: str | None = None, by: str = "id") -> Tensor:
    """The ids of the examples that a file asks for: int64, in its order, repetitions included.

    Args:
        by: "id": the file lists ids, or names where the data set has names; "group": it lists groups, such as people,
            all of whose examples are meant.

    Raises:
        BadInput: as :func:`read_ids` and :func:`read_keys`, or ``by="group"`` for data without groups.
    """
    if by not in BY:
        raise BadInput(f"a list is by {' or '.join(BY)}, got {by!r}")
    if by == "group":
        return data.members([] if data.groups is None else read_keys(path, data.groups, column))
    if data.names is None:
        return read_ids(path, column)
    return data.ids_of(read_keys(path, data.names, column))


def _without_heading(cells: Cells, known: Keys) -> list[tuple[str, Any]]:
    headed = cells.heading and bool(cells.entries) and not known.has([cells.entries[0][1]])[0]
    return cells.entries[headed:]


def _number(path: Path | str, place: str, cell: Any) -> int:
    match = _WHOLE.fullmatch(cell if isinstance(cell, str) else json.dumps(cell, default=str))
    value = int(match[1]) if match else None
    if value is None or not -(1 << 63) <= value < 1 << 63:
        raise BadInput(f"{place} of {str(path)!r} is {_cut(cell)}, which is not a whole number of at most 64 bits")
    return value


def _key(path: Path | str, place: str, cell: Any) -> str:
    try:
        return str(Keys.of([cell]).values[0])
    except BadInput:
        raise BadInput(f"{place} of {str(path)!r} is {_cut(cell)}, which is neither text nor a whole number") from None


def _cut(cell: Any) -> str:
    return repr(cell) if len(repr(cell)) <= 60 else repr(cell)[:60] + "..."
