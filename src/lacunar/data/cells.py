"""The entries of a list that somebody wrote: csv, json, npy, parquet or txt, each with the place where it stands."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from lacunar.core.errors import BadInput, NotApplicable, sample_of, unknown
from lacunar.core.json_text import parsed

SAFE_PYARROW = (14, 0, 1)
"""Older versions unpickle what a hostile file tells them to (CVE-2023-47248)."""


@dataclass(frozen=True)
class Cells:
    """What a file holds.

    Attributes:
        entries: (place, value) in the order of the file, e.g. ("row 3", "17").
        heading: the first of them may be the heading of a csv column that nobody named.
    """

    entries: list[tuple[str, Any]]
    heading: bool = False


def read_cells(path: Path | str, column: str | None = None) -> Cells:
    """The entries of a file, by its ending.

    * ``.csv``: one column, with or without a heading, or several columns of which ``column`` is read; separated by
      commas, semicolons or tabs.
    * ``.json``: a list, ``{"ids": [...]}``, or a list of objects of which the entry ``column`` is read.
    * ``.npy``: a one-dimensional NumPy array.
    * ``.parquet``: the only column, or ``column``; needs pyarrow.
    * ``.txt``: one entry per line.

    Raises:
        BadInput: no such file, another ending, a file that cannot be read, or a column that is not there, is there
            twice, or cannot be since entries are no rows.
        NotApplicable: a parquet file without pyarrow.
    """
    source = Path(path)
    if not source.is_file():
        raise BadInput(f"there is no file {str(path)!r} with ids to forget")
    if source.suffix.lower() not in _READERS:
        raise unknown("ending of the file with ids to forget:", source.suffix, _READERS)
    return _READERS[source.suffix.lower()](source, column)


def _from_csv(source: Path, column: str | None) -> Cells:
    text = _text(source)
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(StringIO(text), delimiter=delimiter)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise BadInput(f"{str(source)!r} is not a csv file: row {reader.line_num}: {error}") from error
    if not rows:
        return Cells([])
    heading = rows[0][1]
    at = _column_at(source, heading, column)
    for line, row in rows:
        if len(row) <= at:
            raise BadInput(f"row {line} of {str(source)!r} has no column {_shown(heading[at])}")
        if any(row[len(heading) :]):
            raise BadInput(
                f"row {line} of {str(source)!r} has {len(row)} entries, the first row {len(heading)}, so columns may "
                "have moved; quote entries that contain the separator"
            )
    cells = [(f"row {line}", row[at]) for line, row in rows]
    return Cells(cells[1:]) if column is not None else Cells(cells, heading=True)


def _column_at(source: Path, heading: list[str], column: str | None) -> int:
    if column is None:
        if len(heading) > 1:
            columns = sample_of(name[:60] for name in heading)
            raise BadInput(f"{str(source)!r} has the columns {columns}: say with --id-column which holds the ids")
        return 0
    if column not in heading:
        raise unknown(f"column of {str(source)!r}:", column, [name[:60] for name in heading[:50]])
    if heading.count(column) > 1:
        raise BadInput(f"{str(source)!r} has {heading.count(column)} columns {column!r}; rename all but one")
    return heading.index(column)


def _from_json(source: Path, column: str | None) -> Cells:
    try:
        loaded = parsed(_text(source))
    except ValueError as error:
        raise BadInput(f"{str(source)!r} is not a JSON file ({error})") from error
    listed = loaded.get("ids") if isinstance(loaded, dict) else loaded
    if not isinstance(listed, list):
        raise BadInput(f'{str(source)!r} must hold a list of ids, or {{"ids": [...]}}')
    return Cells([(f"entry {i}", _entry(source, i, item, column)) for i, item in enumerate(listed, 1)])


def _entry(source: Path, index: int, item: Any, column: str | None) -> Any:
    if not isinstance(item, dict):
        if column is not None:
            raise BadInput(f"entry {index} of {str(source)!r} is no object: leave out --id-column {column}")
        return item
    if column is None:
        keys = sample_of(key[:60] for key in item)
        raise BadInput(f"{str(source)!r} holds objects with {keys}: say with --id-column which is the id")
    if column not in item:
        raise unknown(f"key in entry {index} of {str(source)!r}:", column, [key[:60] for key in list(item)[:50]])
    return item[column]


def _from_npy(source: Path, column: str | None) -> Cells:
    _no_column(source, column)
    try:
        with source.open("rb") as handle:
            array = np.lib.format.read_array(handle, allow_pickle=False)
    except Exception as error:
        # A damaged header can raise almost anything: it is parsed as text and tells how much memory to take.
        why = f"{type(error).__name__}: {error}"[:200]
        raise BadInput(f"{str(source)!r} cannot be read as a plain NumPy array ({why})") from error
    if array.ndim != 1:
        raise BadInput(f"{str(source)!r} must hold one one-dimensional array of ids")
    return Cells([(f"entry {i}", value) for i, value in enumerate(array.tolist(), 1)])


def _from_parquet(source: Path, column: str | None) -> Cells:
    try:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise NotApplicable("reading parquet needs pyarrow: install it, or save the ids as csv") from error
    if tuple(int(part) for part in arrow.__version__.split(".")[:3]) < SAFE_PYARROW:
        raise NotApplicable(f"pyarrow {arrow.__version__} can run code from a file; install version 14.0.1 or later")
    try:
        file = parquet.ParquetFile(source)
        at = _column_at(source, list(file.schema_arrow.names), column)
        values = file.read(columns=[file.schema_arrow.names[at]]).column(0).to_pylist()
    except (arrow.ArrowException, OSError) as error:
        raise BadInput(f"{str(source)!r} cannot be read as parquet ({error})") from error
    return Cells([(f"row {i}", value) for i, value in enumerate(values, 1)])


def _from_txt(source: Path, column: str | None) -> Cells:
    _no_column(source, column)
    lines = enumerate(_text(source).splitlines(), 1)
    return Cells([(f"row {i}", line.strip()) for i, line in lines if line.strip()])


_READERS: dict[str, Callable[[Path, str | None], Cells]] = {
    ".csv": _from_csv,
    ".json": _from_json,
    ".npy": _from_npy,
    ".parquet": _from_parquet,
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


def _shown(name: str) -> str:
    return repr(name[:60])
