"""Reading the list of ids that must be forgotten: csv, json, npy or txt."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lacunar.core.errors import BadInput, unknown
from lacunar.data.ids import as_ids

_WHOLE = re.compile(r"([+-]?\d+)(\.0*)?")


def read_ids(path: Path | str, column: str | None = None) -> Tensor:
    """The ids in a file, in its order, repetitions included: int64 ``[n]``.

    Four formats, by the ending of the file:

    * ``.csv``: one column, with or without a heading, or several columns of which ``column`` is read; separated by
      commas, semicolons or tabs.
    * ``.json``: a list of numbers, ``{"ids": [...]}``, or a list of objects of which the entry ``column`` is read.
    * ``.npy``: a NumPy array of whole numbers.
    * ``.txt``: one id per line.

    Raises:
        BadInput: no such file, another ending, a column that is not there, or an entry that is not a whole number (its
            row is named, counted from 1 with the heading).
    """
    source = Path(path)
    if not source.is_file():
        raise BadInput(f"there is no file {str(path)!r} with ids to forget")
    if source.suffix.lower() not in _READERS:
        raise unknown("ending of the file with ids to forget:", source.suffix, _READERS)
    return _READERS[source.suffix.lower()](source, column)


def _from_csv(source: Path, column: str | None) -> Tensor:
    text = _text(source)
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(StringIO(text), delimiter=delimiter)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise BadInput(f"{str(source)!r} is not a csv file: row {reader.line_num}: {error}") from error
    if not rows:
        return as_ids([])
    heading = rows[0][1]
    at = _column_at(source, heading, column)
    named = column is not None or heading[at][:1].isalpha() or heading[at].startswith("_")
    body = rows[1:] if named else rows
    if short := next((line for line, row in body if len(row) <= at), None):
        raise BadInput(f"row {short} of {str(source)!r} has no column {heading[at]!r}")
    return _whole(source, ((f"row {line}", row[at]) for line, row in body))


def _column_at(source: Path, heading: list[str], column: str | None) -> int:
    if column is None:
        if len(heading) > 1:
            columns = ", ".join(heading)
            raise BadInput(f"{str(source)!r} has the columns {columns}: say with --id-column which holds the ids")
        return 0
    if column not in heading:
        raise unknown(f"column of {str(source)!r}:", column, heading)
    return heading.index(column)


def _from_json(source: Path, column: str | None) -> Tensor:
    try:
        loaded = json.loads(_text(source))
    except ValueError as error:
        raise BadInput(f"{str(source)!r} is not a JSON file ({error})") from error
    listed = loaded.get("ids") if isinstance(loaded, dict) else loaded
    if not isinstance(listed, list):
        raise BadInput(f'{str(source)!r} must hold a list of ids, or {{"ids": [...]}}')
    return _whole(source, ((f"entry {i}", _entry(source, i, item, column)) for i, item in enumerate(listed, 1)))


def _entry(source: Path, index: int, item: Any, column: str | None) -> Any:
    if not isinstance(item, dict):
        return item
    if column is None:
        raise BadInput(f"{str(source)!r} holds objects with {', '.join(item)}: say with --id-column which is the id")
    if column not in item:
        raise unknown(f"key in entry {index} of {str(source)!r}:", column, item)
    return item[column]


def _from_npy(source: Path, column: str | None) -> Tensor:
    _no_column(source, column)
    try:
        array = np.load(source, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise BadInput(f"{str(source)!r} cannot be read as a plain NumPy array ({error})") from error
    if not isinstance(array, np.ndarray) or array.ndim != 1:
        raise BadInput(f"{str(source)!r} must hold one one-dimensional array of ids")
    return as_ids(array)


def _from_txt(source: Path, column: str | None) -> Tensor:
    _no_column(source, column)
    lines = enumerate(_text(source).splitlines(), 1)
    return _whole(source, ((f"row {i}", line.strip()) for i, line in lines if line.strip()))


_READERS: dict[str, Callable[[Path, str | None], Tensor]] = {
    ".csv": _from_csv,
    ".json": _from_json,
    ".npy": _from_npy,
    ".txt": _from_txt,
}


def _no_column(source: Path, column: str | None) -> None:
    if column is not None:
        raise BadInput(f"a {source.suffix} file has no columns: leave out --id-column {column}")


def _text(source: Path) -> str:
    try:
        return source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{str(source)!r} is not a text file in UTF-8 ({error})") from error


def _whole(source: Path, cells: Iterable[tuple[str, Any]]) -> Tensor:
    return torch.tensor([_number(source, place, cell) for place, cell in cells], dtype=torch.int64)


def _number(source: Path, place: str, cell: Any) -> int:
    match = _WHOLE.fullmatch(cell if isinstance(cell, str) else json.dumps(cell))
    value = int(match[1]) if match else None
    if value is None or not -(1 << 63) <= value < 1 << 63:
        raise BadInput(f"{place} of {str(source)!r} is {cell!r}, which is not a whole number of at most 64 bits")
    return value
