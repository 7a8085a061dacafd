"""The cells of an experiment, and what to do in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

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

    def lines(self) -> dict[str, str]:
        """What names it in a record."""
        pruner = DENSE if self.pruner is None else self.pruner.line()
        return {
            "dataset": self.dataset.line(),
            "model": self.model.line(),
            "pruner": pruner,
            "scenario": self.scenario.line(),
        }

    def settings(self) -> dict[str, Any]:
        """Every resolved setting, as JSON values."""
        return {
            "dataset": self.dataset.spec(),
            "model": self.model.spec(),
            "pruner": None if self.pruner is None else self.pruner.spec(),
            "scenario": self.scenario.spec(),
        }


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

    def key(self, protocol: str) -> str:
        """What the finished cell is known by: a hash of all that was asked."""
        method = None if self.method is None else self.method.spec()
        return digest([protocol, self.case.settings(), self.case.seed, method, self.oracle])

    def describe(self) -> str:
        """For a person who watches."""
        which = self.name if self.oracle is None else f"{ORACLE} {self.oracle + 1}"
        parts = [*self.case.lines().values(), f"seed {self.case.seed}", which]
        return " · ".join(part for part in parts if part != DENSE)


@dataclass(frozen=True)
class Training:
    """A model that several cells will ask for, trained ahead of them: the original of a case, or an oracle."""

    case: Case
    oracle: int | None = None

    def describe(self) -> str:
        """For a person who watches."""
        which = "original" if self.oracle is None else f"{ORACLE} {self.oracle + 1}"
        return f"training · {Cell(self.case, oracle=self.oracle).describe().rpartition(' · ')[0]} · {which}"


Task = Training | Cell


def protocol(experiment: Experiment) -> str:
    """A hash of what all cells share: records that differ in it are not comparable."""
    judges = [evaluator.spec() for evaluator in experiment.evaluators]
    return digest([experiment.recipe, experiment.rewind, judges, experiment.oracles])


def cases(experiment: Experiment) -> list[Case]:
    """Every case, seeds varying fastest: neighbours in the list then share no original, and workers do not wait."""
    axes = (experiment.dataset, experiment.model, experiment.pruners, experiment.scenarios, experiment.seeds)
    return [Case(*axis) for axis in product(*axes)]


def cells(experiment: Experiment) -> list[Cell]:
    """Every cell, case by case: the oracles, then the methods."""
    rows: list[tuple[Method | None, int | None]] = [(None, j) for j in range(experiment.oracles)]
    rows += [(method, None) for method in experiment.methods]
    return [Cell(case, *row) for case in cases(experiment) for row in rows]


def tasks(pending: Sequence[Cell], oracles: int) -> list[Task]:
    """What to do for these cells: first the trainings that they share, originals before oracles, then the cells.

    Scenarios that leave the training data as they are share an original; the others' follow after the oracles, so that
    no worker waits for a training that another one is at.
    """
    waiting = list(dict.fromkeys(cell.case for cell in pending))
    shared = {(case.dataset, case.model, case.pruner, case.seed): Training(case) for case in reversed(waiting)}
    originals = [Training(case) for case in waiting]
    first = [training for training in originals if training in shared.values()]
    retrained = [Training(case, j) for case in waiting for j in range(oracles)]
    return [*first, *retrained, *(t for t in originals if t not in first), *pending]


def following(waiting: Sequence[Task], last: Case | None, busy: Sequence[Case]) -> Task:
    """The next task of a worker that has done ``last``: trainings first, then cells.

    A worker stays with its case, whose models and logits it has at hand; when that is done it takes the case with the
    most cells left, and one that another worker is on only when there is no other.
    """
    if isinstance(waiting[0], Training):
        return waiting[0]
    own = [task for task in waiting if task.case == last]
    if own:
        return own[0]
    free = [task for task in waiting if task.case not in busy] or list(waiting)
    left = {case: sum(task.case == case for task in free) for case in {task.case for task in free}}
    return max(free, key=lambda task: left[task.case])
