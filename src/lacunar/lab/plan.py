"""What is to be done, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lacunar.auditing.evaluator import Evaluator, PerTrial
from lacunar.lab.cell import ORACLE, Case, Cell
from lacunar.lab.judge import key_of
from lacunar.lab.record import DONE, FAILED
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
