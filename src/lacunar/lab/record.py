"""One line of ``results.jsonl``: what became of a cell, or what a judge said of one; readable without the code."""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, TypeAlias

from pydantic import ConfigDict, TypeAdapter

from lacunar.core.measurement import Measurement

DONE, FAILED, NOT_APPLICABLE = "done", "failed", "not applicable"


@dataclass(frozen=True)
class Record:
    """What became of one cell: a method, or one of the oracles beside it.

    Attributes:
        key: a hash of everything that was asked; a cell whose key is in the file is not run again.
        protocol: a hash of what all cells of an experiment share (recipe, number of oracles): records that differ in it
            must not stand in one table.
        dataset, model, pruner, scenario, method: the lines that name them; "dense" for no pruner.
        seed: of training, draw, method and judges.
        oracle: which oracle this is, None for a method.
        status: "done", "failed" or "not applicable"; ``message`` says why.
        settings: every resolved setting.
        code: the hash of the source of each plug-in.
        weights: the SHA-256 of the model that it left.
        measurements: what the judges said; a failed one has no value and says why in its note.
        over_seeds: what judges said of this cell and those of the other seeds together.
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
    code: dict[str, str] = field(default_factory=dict, repr=False)
    weights: str = ""
    measurements: tuple[Measurement, ...] = field(default=(), repr=False)
    over_seeds: tuple[Measurement, ...] = field(default=(), repr=False)
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

    @property
    def trouble(self) -> str:
        """What went wrong, if anything did."""
        return "" if self.status == DONE else f"{self.status}: {self.message}"

    @property
    def names(self) -> tuple[Any, ...]:
        """What it is called in a table: what a later record of the same names replaces, edited sources or not."""
        return (self.dataset, self.model, self.pruner, self.scenario, self.method, self.seed, self.oracle)

    def line(self) -> str:
        """The record as one line of strict JSON; what a measurement leaves at its default is left out."""
        return _line(self, measurements=self.measurements, over_seeds=self.over_seeds)


@dataclass(frozen=True)
class Judgement:
    """What one judge said of a cell, or of the cells of all seeds together.

    Attributes:
        key: a hash of what was asked: the cells, the judge and its source.
        judged: the keys of the records; weights: the SHA-256 of the models that were looked at, in the same order.
        judge: its line; settings: every resolved one; code: the hash of its source.
        over_seeds: whether the judge asked for all seeds together.
        status: "done", "failed" or "not applicable"; the note of the one measurement says why.
        seconds: what judging took.
        environment: versions, hardware, commit.
        finished: UTC, ISO 8601.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    key: str
    judged: tuple[str, ...]
    weights: tuple[str, ...]
    judge: str
    settings: dict[str, Any] = field(repr=False)
    code: str = field(repr=False)
    over_seeds: bool = False
    status: str = DONE
    measurements: tuple[Measurement, ...] = field(default=(), repr=False)
    seconds: float | None = None
    environment: dict[str, Any] = field(default_factory=dict, repr=False)
    finished: str = ""

    @property
    def trouble(self) -> str:
        """What went wrong, if anything did; a judge that does not apply here is no trouble."""
        return self.measurements[0].note if self.status == FAILED else ""

    def line(self) -> str:
        """The judgement as one line of strict JSON; what a measurement leaves at its default is left out."""
        return _line(self, measurements=self.measurements)


Line: TypeAlias = Record | Judgement


def _line(content: Line, **said: tuple[Measurement, ...]) -> str:
    values = {**asdict(content), **{name: [_said(m) for m in measurements] for name, measurements in said.items()}}
    return json.dumps(values, allow_nan=False, ensure_ascii=False) + "\n"


def _said(m: Measurement) -> dict[str, Any]:
    return {f.name: getattr(m, f.name) for f in fields(m) if f.default is MISSING or getattr(m, f.name) != f.default}


_RECORD, _JUDGEMENT = TypeAdapter(Record), TypeAdapter(Judgement)


def parsed(line: str) -> Line:
    """The record or the judgement that a line holds.

    Raises:
        ValueError: it holds neither.
    """
    content = json.loads(line)
    kind: TypeAdapter[Any] = _JUDGEMENT if isinstance(content, dict) and "judged" in content else _RECORD
    found: Line = kind.validate_python(content)
    return found
