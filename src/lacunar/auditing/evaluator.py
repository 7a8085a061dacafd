"""What a judge may know (Trial), what a judge is (Evaluator) and what it says (Measurement)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from lacunar.auditing.trial import Trial
from lacunar.catalog.plugin import Plugin
from lacunar.core.measurement import Measure, Measurement


class Evaluator(Plugin):
    """A judge. Implementations are frozen dataclasses, one file each in ``evaluators/``.

    Class attributes:
        paper: where it comes from.
        needs: what each trial must offer, keys of :data:`lacunar.catalog.needs.NEEDS`.
        cost: what it costs, in words.
        MEASURES: all that it says, by name; ``name[key]`` is one of a family that is listed as ``name``.
    """

    kind: ClassVar[str] = "evaluators"
    verb: ClassVar[str] = "measure"
    paper: ClassVar[str]
    needs: ClassVar[frozenset[str]]
    cost: ClassVar[str]
    MEASURES: ClassVar[Mapping[str, Measure]]

    def says(
        self,
        name: str,
        value: float | None,
        interval: tuple[float, float] | None = None,
        *,
        key: object = None,
        n: int | None = None,
        note: str = "",
    ) -> Measurement:
        """The measurement ``name`` (of the family member ``key``), its direction and unit taken from ``MEASURES``."""
        measure = self.MEASURES[name]
        low, high = interval or (None, None)
        full = name if key is None else f"{name}[{key}]"
        return Measurement(full, value, low, high, n, None, measure.direction, measure.unit, note)

    @abstractmethod
    def measure(self, trials: Sequence[Trial]) -> list[Measurement]:
        """Measurements over all seeds of a cell; trials are read, never changed."""


class PerTrial(Evaluator):
    """An evaluator whose measurements of several trials are those of each one."""

    @abstractmethod
    def one(self, trial: Trial) -> list[Measurement]:
        """Measurements of one trial."""

    def measure(self, trials: Sequence[Trial]) -> list[Measurement]:
        return [m for trial in trials for m in self.one(trial)]
