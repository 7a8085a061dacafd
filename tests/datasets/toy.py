"""Small files in the formats of the data sets."""

from __future__ import annotations

import gzip
from pathlib import Path

from lacunar.catalog.registry import find


def write_csv(folder: Path, name: str, lines: list[str]) -> None:
    """A CSV file of these lines, gzipped when its name says so."""
    text = "\n".join(lines) + "\n"
    (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())


def sizes(name: str, folder: Path) -> tuple[int, int]:
    """How many training and test examples a data set has in this folder."""
    splits = find("datasets", name, folder=str(folder)).load()
    return len(splits.train), len(splits.test)
