"""Doing tasks: whatever happens to one becomes a line of the results, and the next one goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import torch

from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.facts import SPARSER, made_sparser
from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.store import Store
from lacunar.core.weights import model_state
from lacunar.data.data_set import DataSource, Splits
from lacunar.data.ids import ids_digest
from lacunar.lab.cell import Case, Cell, protocol
from lacunar.lab.experiment import Experiment
from lacunar.lab.judge import judgement, message
from lacunar.lab.outcomes import TOOK
from lacunar.lab.plan import Judging, Task, Training
from lacunar.lab.prepared_case import PreparedCase
from lacunar.lab.record import DONE, FAILED, NOT_APPLICABLE, Line, Record
from lacunar.machine.device import device
from lacunar.machine.environment import environment
from lacunar.machine.precision import resolve_precision
from lacunar.unlearning.method import Outcome
from lacunar.unlearning.scenario import Posed


class Worker:
    """Does tasks one after the other, and keeps the data and the last case at hand.

    Args:
        experiment: what all tasks belong to.
        store: where trained models and outcomes are kept.
    """

    def __init__(self, experiment: Experiment, store: Store) -> None:
        self.experiment, self.store = experiment, store
        self.protocol = protocol(experiment)
        self.device = device(experiment.device)
        self._splits: dict[DataSource, Splits] = {}
        self._last: PreparedCase | None = None

    def prepared(self, case: Case) -> PreparedCase:
        """The case, set up; the last one is at hand."""
        if self._last is None or self._last.case != case:
            self._last = PreparedCase(case, self.experiment, self.store, self._data(case.dataset))
        return self._last

    def do(self, task: Task) -> list[Line]:
        """What there is to write of a task; a failure is written too."""
        if isinstance(task, Cell):
            return [self._record(task, self.prepared(task.case))[0]]
        return self._judged(task) if isinstance(task, Judging) else self._trained(task)

    def _trained(self, training: Training) -> list[Line]:
        try:
            case = self.prepared(training.case)
            case.original if training.oracle is None else case.oracle(training.oracle)
        except Exception:  # noqa: BLE001 - each cell that needs this model will say in its record why there is none
            return []
        return []

    def _judged(self, task: Judging) -> list[Line]:
        cases = [self.prepared(cell.case) for cell in task.cells]
        records = [self._record(cell, case) for cell, case in zip(task.cells, cases, strict=True)]
        # What the store has no longer was made again, and may have come out otherwise.
        lines: list[Line] = [record for record, made in records if made or record.status != DONE]
        seen = [i for i, (record, _) in enumerate(records) if record.status == DONE]
        if seen:
            said = judgement(
                task.judge,
                [records[i][0] for i in seen],
                lambda: [cases[i].trial(task.cells[i]) for i in seen],
                over_seeds=not isinstance(task.judge, PerTrial),
            )
            lines.append(replace(said, environment=environment(self.device), finished=_now()))
        return lines

    def _record(self, cell: Cell, prepared: PreparedCase) -> tuple[Record, bool]:
        """The record of a cell, and whether its model was made now."""
        lines: dict[str, Any] = {**cell.case.lines()}
        record = Record(
            key=cell.key(self.protocol),
            protocol=self.protocol,
            **lines,
            method=cell.name,
            seed=cell.case.seed,
            oracle=cell.oracle,
            code=cell.code(),
            environment=environment(self.device),
            finished=_now(),
        )
        try:
            settings = {**cell.settings(), "recipe": prepared.recipe.settings(), "oracles": self.experiment.oracles}
            record = replace(record, settings=settings)
            outcome, made = prepared.outcome(cell)
            return replace(record, **self._found(outcome, prepared), finished=_now()), made
        except NotApplicable as error:
            return replace(record, status=NOT_APPLICABLE, message=str(error), finished=_now()), True
        except Exception as error:  # noqa: BLE001 - whatever a method raises is its result, and the others go on
            return replace(record, status=FAILED, message=message(error), finished=_now()), True

    def _found(self, outcome: Outcome, prepared: PreparedCase) -> dict[str, Any]:
        sparser = (SPARSER,) if made_sparser(outcome) else ()
        return {
            "weights": named.digest(model_state(outcome.model)),
            **{name: getattr(outcome, name) for name in TOOK},
            "original_seconds": prepared.original.about["seconds"],
            "forgotten": _forgotten(prepared.posed),
            "notes": (*prepared.posed.notes, *outcome.problem.notes, *outcome.notes, *sparser),
            "precision": resolve_precision(prepared.recipe.precision, outcome.model, self.device),
            "status": DONE,
        }

    def _data(self, source: DataSource) -> Splits:
        if source not in self._splits:
            self._splits[source] = source.load().to(self.device)
        return self._splits[source]

    def check(self, cases: list[Case]) -> None:
        """Load the data, pose every scenario, build every model: what cannot work is said before anything is trained.

        Raises:
            BadInput, NotApplicable: from the plug-in that cannot be used; the case is named.
        """
        for case in cases:
            try:
                prepared = self.prepared(case)
                if len(prepared.posed.forget_ids) == 0:
                    raise BadInput("the scenario forgets nothing")
                few = prepared.retained.take(torch.arange(min(2, len(prepared.retained))))
                prepared.recipe.predict(prepared.recipe.fresh(0).to(self.device), few)
            except (BadInput, NotApplicable) as error:
                where = " · ".join(case.lines().values())
                raise type(error)(f"{where} · seed {case.seed}: {error}") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _forgotten(posed: Posed) -> dict[str, Any]:
    return {
        "count": len(posed.forget_ids),
        "ids_sha256": ids_digest(posed.forget_ids),
        "classes": list(posed.forgotten_classes),
    }
