"""What is asked: cases, and for each case the cells that become rows of the result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from lacunar.catalog.plugin import Plugin
from lacunar.catalog.source_code import plugin_digest
from lacunar.core.store import digest
from lacunar.data.data_set import DataSource
from lacunar.lab.experiment import DENSE, Experiment
from lacunar.sparsity.pruner import Pruner
from lacunar.training.architecture import Architecture
from lacunar.unlearning.method import Method
from lacunar.unlearning.scenario import Scenario

ORACLE = "oracle"


@dataclass(frozen=True)
class Case:
    """One unlearning problem: the same original and the same oracles for all methods."""

    dataset: DataSource
    model: Architecture
    pruner: Pruner | None
    scenario: Scenario
    seed: int

    def plugins(self) -> dict[str, Plugin | None]:
        """What it is made of."""
        return {"dataset": self.dataset, "model": self.model, "pruner": self.pruner, "scenario": self.scenario}

    def lines(self) -> dict[str, str]:
        """What names it in a record."""
        return {part: DENSE if plugin is None else plugin.line() for part, plugin in self.plugins().items()}


@dataclass(frozen=True)
class Cell:
    """One row of the result: a method on a case, or one of its oracles seen by the same judges."""

    case: Case
    method: Method | None = None
    oracle: int | None = None

    @property
    def name(self) -> str:
        """The line of the method, or "oracle"."""
        return ORACLE if self.method is None else self.method.line()

    def of_seed(self, seed: int) -> Cell:
        """The same row of another seed."""
        return replace(self, case=replace(self.case, seed=seed))

    def plugins(self) -> dict[str, Plugin | None]:
        """What decides its result, beside the protocol and the seed."""
        return self.case.plugins() | ({} if self.method is None else {"method": self.method})

    def settings(self) -> dict[str, Any]:
        """Every resolved setting, as JSON values."""
        return {part: None if plugin is None else plugin.spec() for part, plugin in self.plugins().items()}

    def code(self) -> dict[str, str]:
        """The hash of the source of each plug-in: what an edit of it changes."""
        return {part: plugin_digest(plugin) for part, plugin in self.plugins().items() if plugin is not None}

    def key(self, protocol: str) -> str:
        """What the finished cell is known by: a hash of all that was asked, sources included."""
        return digest([protocol, self.settings(), self.code(), self.case.seed, self.oracle])

    def describe(self) -> str:
        """For a person who watches."""
        which = self.name if self.oracle is None else f"{ORACLE} {self.oracle + 1}"
        parts = [*self.case.lines().values(), f"seed {self.case.seed}", which]
        return " · ".join(part for part in parts if part != DENSE)


def protocol(experiment: Experiment) -> str:
    """A hash of what all cells share: records that differ in it are not comparable."""
    return digest([experiment.recipe, experiment.rewind, experiment.oracles])


def cases(experiment: Experiment) -> list[Case]:
    """Every case, seeds varying fastest: neighbours in the list then share no original, and workers do not wait."""
    axes = (experiment.dataset, experiment.model, experiment.pruners, experiment.scenarios, experiment.seeds)
    return [Case(*axis) for axis in product(*axes)]


def cells(experiment: Experiment) -> list[Cell]:
    """Every cell, case by case: the oracles, then the methods."""
    rows: list[tuple[Method | None, int | None]] = [(None, j) for j in range(experiment.oracles)]
    rows += [(method, None) for method in experiment.methods]
    return [Cell(case, *row) for case in cases(experiment) for row in rows]
