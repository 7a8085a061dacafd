"""Finding and reading local data files; nothing is ever unpickled."""

from __future__ import annotations

import csv
import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lacunar.core.errors import BadInput, NotApplicable, sample_of

VARIABLE = "LACUNAR_DATA"
CACHE = "LACUNAR_CACHE"


def roots(folder: str | None) -> list[Path]:
    """Where data sets may lie: the given folder, or the one that LACUNAR_DATA names and the download folder."""
    if folder is not None:
        return [Path(folder).expanduser()]
    named = os.environ.get(VARIABLE)
    return [*([Path(named).expanduser()] if named else []), downloads()]


def downloads() -> Path:
    """The folder for what can be fetched or made again: the one that LACUNAR_CACHE names, or ``lacunar`` in the user's.

    The user's cache folder is where the system has it: ~/Library/Caches, %LOCALAPPDATA%, or XDG_CACHE_HOME (~/.cache).
    """
    if named := os.environ.get(CACHE):
        return Path(named).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "lacunar"
    local = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    return Path(local or Path.home() / ".cache") / "lacunar"


def candidates(folder: str | None, names: tuple[str, ...]) -> Iterator[Path]:
    """Each root itself, then its sub-folders ``names``."""
    for root in roots(folder):
        yield root
        yield from (root / name for name in names)


def missing(what: str, folder: str | None, files: str, extra: str | None = None) -> NotApplicable:
    """The error for data that are not there: where they were looked for, and the ways to get them.

    ``extra`` is the extra that can download them; None where nothing can.
    """
    places = ", ".join(str(root) for root in roots(folder))
    fetch = "" if extra is None else f", or install lacunar[{extra}] and set download=true"
    return NotApplicable(
        f"{what} is not on this machine: looked for {files} in {places}; set folder= or {VARIABLE} to the folder that "
        f"holds it{fetch}"
    )


def located(what: str, folder: str | None, folders: tuple[str, ...], files: tuple[str, ...]) -> Path:
    """The first candidate folder that has all of ``files``.

    Raises:
        NotApplicable: there is none.
    """
    for place in candidates(folder, folders):
        if all((place / name).is_file() for name in files):
            return place
    raise missing(what, folder, " and ".join(files))


def read_csv(path: Path, columns: tuple[str, ...]) -> list[list[str]]:
    """The rows of a UTF-8 CSV file with a header, plain or gzipped: the values of ``columns``, spaces stripped.

    Raises:
        BadInput: the file is damaged, or lacks a column.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = list(csv.DictReader(io.StringIO(content.decode())))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{str(path)!r} cannot be read as a CSV file ({error}); fetch it again") from error
    if not rows or any(row[name] is None for row in rows for name in columns if name in row):
        raise BadInput(f"{str(path)!r} has no rows, or rows that are cut short; fetch it again")
    if absent := [name for name in columns if name not in rows[0]]:
        raise BadInput(f"{str(path)!r} has no column {absent[0]!r}; it has {sample_of(rows[0], 20)}")
    return [[row[name].strip() for name in columns] for row in rows]


def read_npz(path: Path, keys: tuple[str, ...]) -> dict[str, Tensor]:
    """The arrays ``keys`` of a NumPy archive as tensors.

    Raises:
        BadInput: the file is damaged, holds objects (which would need unpickling), or lacks a key.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            found = archive.files
            arrays = {key: torch.from_numpy(archive[key]) for key in keys if key in found}
    except Exception as error:
        # A damaged archive can raise almost anything: its headers are parsed as text and tell how much memory to take.
        why = f"{type(error).__name__}: {error}"[:200]
        raise BadInput(f"{str(path)!r} cannot be read as a NumPy archive ({why}); fetch it again") from error
    if absent := [key for key in keys if key not in arrays]:
        raise BadInput(f"{str(path)!r} has no array {absent[0]!r}; it holds {sample_of(found)}")
    return arrays


def check_images(path: Path, x: Tensor, y: Tensor, shape: tuple[int, ...], classes: int) -> None:
    """Raise :class:`BadInput` unless ``x`` is uint8 ``[n, *shape]`` and ``y`` has n labels in [0, classes)."""
    if x.dtype != torch.uint8 or tuple(x.shape[1:]) != shape or y.shape != (len(x),) or len(y) == 0:
        raise BadInput(
            f"{str(path)!r} holds images {tuple(x.shape)} {x.dtype} and labels {tuple(y.shape)}, not uint8 images of "
            f"shape {shape} with one label each"
        )
    if y.is_floating_point() or int(y.min()) < 0 or int(y.max()) >= classes:
        raise BadInput(f"{str(path)!r} has labels outside 0, ..., {classes - 1}")
