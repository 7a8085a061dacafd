"""What is to be done, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lacunar.auditing.evaluator import Evaluator, PerTrial
from lacunar.lab.cell import ORACLE, Case, Cell
from lacunar.lab.judge import key_of
from lacunar.lab.record import DONE, FAILED, Record
from lacunar.lab.results import Results, latest


@dataclass(frozen=True)
class Training:
    """A model that several cells will ask for, trained ahead of them: the original of a case, or an oracle."""

    case: Case
    oracle: int | None = None

    def describe(self) -> str:
        """For a person who watches."""
        which = "original" if self.oracle is None else f"{ORACLE} {self.oracle + 1}"
        return f"training · {Cell(self.case, oracle=self.oracle).describe().rpartition(' · ')[0]} · {which}"


@dataclass(frozen=True)
class Judging:
    """One judge's look at what a cell left; at what all seeds left, where the judge asks for them together."""

    cells: tuple[Cell, ...]
    judge: Evaluator

    @property
    def case(self) -> Case:
        """The case that a worker should have at hand."""
        return self.cells[-1].case

    def describe(self) -> str:
        """For a person who watches."""
        seeds = ", ".join(str(cell.case.seed) for cell in self.cells)
        last = f"seed{'s' * (len(self.cells) > 1)} {seeds}"
        return f"{self.cells[-1].describe().replace(f'seed {self.case.seed}', last)} · {self.judge.line()}"


Task = Training | Cell | Judging


@dataclass(frozen=True)
class Plan:
    """All that an experiment asks for, to be held against what is known already.

    Attributes:
        cells, judges: each judge looks at each cell, or at those of all seeds together.
        oracles: how many per case.
        protocol: what all cells share.
    """

    cells: Sequence[Cell]
    judges: Sequence[Evaluator]
    oracles: int
    protocol: str

    def tasks(self, known: Results, retry: bool = False) -> list[Task]:
        """What is left to do: trainings that cells share, then the cells, each before its judges, then joint judges.

        Args:
            retry: whether what has failed is to be done again.
        """
        last = latest(known.records)
        keys = {cell: cell.key(self.protocol) for cell in self.cells}
        pending = {cell for cell in self.cells if _is_open(last.get(keys[cell]), retry)}

        def unjudged(cells: Sequence[Cell], judge: Evaluator) -> bool:
            if not pending.isdisjoint(cells):
                return True
            done = [record for cell in cells if (record := last[keys[cell]]).status == DONE]
            found = known.judgement(key_of(judge, [record.key for record in done]), done)
            return bool(done) and _is_open(found, retry)

        single = [judge for judge in self.judges if isinstance(judge, PerTrial)]
        todo = trainings([cell.case for cell in self.cells if cell in pending], self.oracles)
        for cell in self.cells:
            todo += [cell] * (cell in pending)
            todo += [Judging((cell,), judge) for judge in single if unjudged((cell,), judge)]
        joint = [judge for judge in self.judges if judge not in single]
        todo += [Judging(row, judge) for row in over_seeds(self.cells) for judge in joint if unjudged(row, judge)]
        return todo


def _is_open(found: Any, retry: bool) -> bool:
    return found is None or (retry and found.status == FAILED)


def over_seeds(cells: Iterable[Cell]) -> list[tuple[Cell, ...]]:
    """The cells that differ in nothing but their seed, together."""
    rows: dict[Cell, list[Cell]] = {}
    for cell in cells:
        rows.setdefault(cell.of_seed(0), []).append(cell)
    return [tuple(row) for row in rows.values()]


def trainings(cases: Sequence[Case], oracles: int) -> list[Task]:
    """The models that these cases share, originals before oracles.

    Scenarios that leave the training data as they are share an original; the others' follow after the oracles, so that
    no worker waits for a training that another one is at.
    """
    waiting = list(dict.fromkeys(cases))
    shared = {(case.dataset, case.model, case.pruner, case.seed): Training(case) for case in reversed(waiting)}
    originals = [Training(case) for case in waiting]
    first = [training for training in originals if training in shared.values()]
    retrained = [Training(case, j) for case in waiting for j in range(oracles)]
    return [*first, *retrained, *(t for t in originals if t not in first)]


class Agenda:
    """The tasks of a plan that nobody has begun: judging waits for the cells that it looks at.

    Args:
        todo: what there is to do, in order.
    """

    def __init__(self, todo: Sequence[Task]) -> None:
        self.waiting = list(todo)
        self._open = {task for task in todo if isinstance(task, Cell)}
        self._broken: set[Cell] = set()

    def take(self, last: Case | None, busy: Sequence[Case]) -> Task | None:
        """The next task of a worker that has done one of ``last``; None when all that is left waits for others."""
        ready = [task for task in self.waiting if not isinstance(task, Judging) or self._open.isdisjoint(task.cells)]
        if not ready:
            return None
        task = following(ready, last, busy)
        self.waiting.remove(task)
        return self._sound(task) if isinstance(task, Judging) else task

    def finished(self, task: Task, found: Sequence[Any]) -> list[Task]:
        """A task has ended with these lines; the judgings that it leaves without anything to look at are dropped."""
        if not isinstance(task, Cell):
            return []
        self._open.discard(task)
        if any(isinstance(line, Record) and line.status == DONE for line in found):
            return []
        self._broken.add(task)
        dropped = [t for t in self.waiting if isinstance(t, Judging) and self._broken.issuperset(t.cells)]
        self.waiting = [t for t in self.waiting if t not in dropped]
        return list(dropped)

    def _sound(self, task: Judging) -> Judging:
        return Judging(tuple(cell for cell in task.cells if cell not in self._broken), task.judge)


def following(ready: Sequence[Task], last: Case | None, busy: Sequence[Case]) -> Task:
    """The next of these tasks for a worker that has done one of ``last``: trainings first, then the others.

    A worker stays with its case, whose models and logits it has at hand; when that is done it takes the case with the
    most tasks left, and one that another worker is on only when there is no other.
    """
    if isinstance(ready[0], Training):
        return ready[0]
    own = [task for task in ready if task.case == last]
    if own:
        return own[0]
    free = [task for task in ready if task.case not in busy] or list(ready)
    left = {case: sum(task.case == case for task in free) for case in {task.case for task in free}}
    return max(free, key=lambda task: left[task.case])


def edited(cells: Sequence[Cell], protocol: str, known: Results) -> Mapping[str, int]:
    """By the line of each plug-in whose source has changed since: how many of these cells were run with the old one."""
    last = {record.names: record for record in known.records if record.protocol == protocol}
    found: dict[str, int] = {}
    for cell in cells:
        record = last.get((*cell.case.lines().values(), cell.name, cell.case.seed, cell.oracle))
        for part, code in cell.code().items():
            plugin = cell.plugins()[part]
            if record is not None and record.code.get(part, code) != code and plugin is not None:
                found[plugin.line()] = found.get(plugin.line(), 0) + 1
    return found
