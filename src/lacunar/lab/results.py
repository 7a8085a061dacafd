"""The file of results: lines are only ever added, and what was said of a cell is put together when it is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock
from pydantic import ValidationError

from lacunar.core.errors import BadInput
from lacunar.core.measurement import Measurement
from lacunar.lab.record import Judgement, Line, Record, parsed

FILE = "results.jsonl"


@dataclass(frozen=True)
class Results:
    """The lines of a file, in order."""

    records: Sequence[Record] = field(default=(), repr=False)
    judgements: Sequence[Judgement] = field(default=(), repr=False)

    @classmethod
    def of(cls, path: Path | str) -> Results:
        """The lines of a file; none when there is no file. A last line that was cut short is left out.

        Raises:
            BadInput: a line that is neither a record nor a judgement; it is named by its number.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return cls()
        found = [_parsed(path, number, line) for number, line in enumerate(lines[:-1], 1)]
        records = [line for line in found if isinstance(line, Record)]
        return cls(records, [line for line in found if isinstance(line, Judgement)])

    def judgement(self, key: str, records: Sequence[Record]) -> Judgement | None:
        """What was said under this key of the models that these records left, if anything was."""
        return self._found.get((key, tuple(record.weights for record in records)))

    @cached_property
    def _found(self) -> dict[tuple[str, tuple[str, ...]], Judgement]:
        return {(j.key, j.weights): j for j in self.judgements}

    def joined(self) -> list[Record]:
        """The records, each with what judges said of the model that it left.

        A judge is believed in its last version only, and what it said of another model than the one that the record
        names is left out.
        """
        weights = {key: record.weights for key, record in latest(self.records).items()}
        version = {j.judge: j.code for j in self.judgements}
        told: dict[str, dict[str, Judgement]] = {}
        for j in self.judgements:
            if j.code == version[j.judge] and j.weights == tuple(weights.get(key) for key in j.judged):
                for key in j.judged:
                    before = told.setdefault(key, {}).get(j.judge)
                    if before is None or len(j.judged) >= len(before.judged):
                        told[key][j.judge] = j
        return [_with(record, told.get(record.key, {}).values()) for record in self.records]


def _with(record: Record, told: Iterable[Judgement]) -> Record:
    single: list[Measurement] = []
    joint: list[Measurement] = []
    for j in told:
        (joint if j.over_seeds else single).extend(j.measurements)
    return replace(record, measurements=(*record.measurements, *single), over_seeds=(*record.over_seeds, *joint))


def read(path: Path | str) -> list[Record]:
    """The records of a file with their measurements, in order; none when there is no file.

    Raises:
        BadInput: a line that is neither a record nor a judgement; it is named by its number.
    """
    return Results.of(path).joined()


def latest(records: Iterable[Record]) -> dict[str, Record]:
    """The last record of each key: a cell that was tried again has several."""
    return {record.key: record for record in records}


def append(path: Path | str, line: Line) -> None:
    """Add one line, safe against other writers and against a writer that was killed in mid-line."""
    content = line.line().encode()
    with FileLock(Path(path).with_name(f".{Path(path).name}.lock")), Path(path).open("a+b") as handle:
        if handle.tell() and _last_byte(handle) != b"\n":
            handle.seek(0)
            handle.truncate(handle.read().rfind(b"\n") + 1)
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def _last_byte(handle: BinaryIO) -> bytes:
    handle.seek(-1, os.SEEK_END)
    return handle.read(1)


def _parsed(path: Path | str, number: int, line: str) -> Line:
    try:
        return parsed(line)
    except ValueError as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise BadInput(f"line {number} of {str(path)!r} is not a record ({why}); remove or mend that line") from error
