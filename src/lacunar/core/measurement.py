"""What a judge says: a number with everything that a reader needs, and what numbers of its name mean."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

DIRECTIONS = ("higher", "lower", "match", "information")


@dataclass(frozen=True)
class Measurement:
    """One number of a judge.

    Attributes:
        name: unique in the project.
        value: None when the measurement failed or cannot be estimated; ``note`` says why.
        low, high: a 95 % interval, where one exists.
        n: how many examples (or models) the value rests on.
        target: what it should be, usually the oracle's value; never 0.5 by decree.
        direction: "higher" or "lower" is better, "match" the target, or "information" only.
        unit: "%", "s", "bytes", "" for pure numbers.
        note: how it was made, what limits it.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    target: float | None = None
    direction: str = "match"
    unit: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(f"direction must be one of {DIRECTIONS}, got {self.direction!r}")

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Measure:
    """What a measurement means: formula, range, direction (as in :class:`Measurement`) and unit.

    Attributes:
        plain: the same for a reader who knows no formulas, such as a privacy officer; no full stop.
        noun: how a sentence of a verdict calls it; "" where its name will do.
    """

    formula: str
    range: str
    direction: str
    unit: str = ""
    plain: str = field(kw_only=True)
    noun: str = field(default="", kw_only=True)

    def __str__(self) -> str:
        wanted = {"match": "match the oracles' value", "information": "information only"}
        return f"{self.formula}; in {self.range}; {wanted.get(self.direction, f'{self.direction} is better')}"
