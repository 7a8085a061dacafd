"""One line of ``results.jsonl``: a cell's result, readable without the code."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import ConfigDict, TypeAdapter, ValidationError

from lacunar.core.errors import BadInput
from lacunar.core.measurement import Measurement

FILE = "results.jsonl"
DONE, FAILED, NOT_APPLICABLE = "done", "failed", "not applicable"


@dataclass(frozen=True)
class Record:
    """The result of one cell, or of one oracle looked at through the same judges.

    Attributes:
        key: a hash of everything that was asked; a cell whose key is in the file is not run again.
        protocol: a hash of what all cells of an experiment share (recipe, judges, number of oracles): records that
            differ in it must not stand in one table.
        dataset, model, pruner, scenario, method: the lines that name them; "dense" for no pruner.
        seed: of training, draw, method and judges.
        oracle: which oracle this is, None for a method.
        status: "done", "failed" or "not applicable"; ``message`` says why.
        settings: every resolved setting.
        measurements: what the judges said; a failed one has no value and says why in its note.
        seconds, cpu_seconds, peak_bytes, steps, examples_seen: what the method (for an oracle: its training) took.
        original_seconds: what the first training took.
        forgotten: number of examples and the SHA-256 of their sorted ids.
        notes: what a reader should know.
        precision: in which training ran.
        environment: versions, hardware, commit.
        finished: UTC, ISO 8601.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    key: str
    protocol: str
    dataset: str
    model: str
    pruner: str
    scenario: str
    method: str
    seed: int
    oracle: int | None = None
    status: str = DONE
    message: str = ""
    settings: dict[str, Any] = field(default_factory=dict, repr=False)
    measurements: tuple[Measurement, ...] = field(default=(), repr=False)
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_bytes: int | None = None
    steps: int | None = None
    examples_seen: int | None = None
    original_seconds: float | None = None
    forgotten: dict[str, Any] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()
    precision: str = ""
    environment: dict[str, Any] = field(default_factory=dict, repr=False)
    finished: str = ""

    def line(self) -> str:
        """The record as one line of strict JSON; what a measurement leaves at its default is left out."""
        content = {**asdict(self), "measurements": [_said(m) for m in self.measurements]}
        return json.dumps(content, allow_nan=False, ensure_ascii=False) + "\n"


def _said(m: Measurement) -> dict[str, Any]:
    return {f.name: getattr(m, f.name) for f in fields(m) if f.default is MISSING or getattr(m, f.name) != f.default}


_RECORD = TypeAdapter(Record)


def read(path: Path | str) -> list[Record]:
    """The records of a file, in order; none when there is no file. A last line that was cut short is left out.

    Raises:
        BadInput: a line that is not a record; it is named by its number.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    return [_parsed(path, number, line) for number, line in enumerate(lines[:-1], 1)]


def _parsed(path: Path | str, number: int, line: str) -> Record:
    try:
        return _RECORD.validate_python(json.loads(line))
    except (ValidationError, ValueError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise BadInput(f"line {number} of {str(path)!r} is not a record ({why}); remove or mend that line") from error


def latest(records: Iterable[Record]) -> dict[str, Record]:
    """The last record of each key: a cell that was tried again has several."""
    return {record.key: record for record in records}


def append(path: Path | str, record: Record) -> None:
    """Add one line, safe against other writers and against a writer that was killed in mid-line."""
    line = record.line().encode()
    with FileLock(Path(path).with_name(f".{Path(path).name}.lock")), Path(path).open("a+b") as handle:
        handle.seek(0)
        content = handle.read()
        if content and not content.endswith(b"\n"):
            handle.truncate(content.rfind(b"\n") + 1)
        handle.write(line)
        handle.flush()
        os.fsync(handle.fileno())
