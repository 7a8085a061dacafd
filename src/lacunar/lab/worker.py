"""Doing tasks: whatever happens to one becomes its record, and the next one goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import torch

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.store import Store
from lacunar.data.data_set import DataSource, Splits
from lacunar.data.ids import ids_digest
from lacunar.lab.experiment import Experiment
from lacunar.lab.plan import Case, Cell, Task, protocol
from lacunar.lab.prepared_case import Stage, message
from lacunar.lab.record import DONE, FAILED, NOT_APPLICABLE, Record
from lacunar.machine.device import device
from lacunar.machine.environment import environment
from lacunar.machine.precision import resolve_precision
from lacunar.unlearning.scenario import Posed


class Bench:
    """Does tasks one after the other, and keeps the data and the last case at hand.

    Args:
        experiment: what all tasks belong to.
        store: where trained models are kept.
    """

    def __init__(self, experiment: Experiment, store: Store) -> None:
        self.experiment, self.store = experiment, store
        self.protocol = protocol(experiment)
        self.device = device(experiment.device)
        self._splits: dict[DataSource, Splits] = {}
        self._stage: Stage | None = None

    def stage(self, case: Case) -> Stage:
        """The case, set up."""
        if self._stage is None or self._stage.case != case:
            self._stage = Stage(case, self.experiment, self.store, self._data(case.dataset))
        return self._stage

    def do(self, task: Task) -> Record | None:
        """Train a model, or run a cell and return its record; a failure becomes a record too."""
        if isinstance(task, Cell):
            return self._record(task)
        try:
            stage = self.stage(task.case)
            stage.original if task.oracle is None else stage.oracle(task.oracle)
        except Exception:  # noqa: BLE001 - each cell that needs this model will say in its record why there is none
            return None
        return None

    def _record(self, cell: Cell) -> Record:
        case = cell.case
        lines: dict[str, Any] = {**case.lines()}
        record = Record(
            key=cell.key(self.protocol),
            protocol=self.protocol,
            **lines,
            method=cell.name,
            seed=case.seed,
            oracle=cell.oracle,
            environment=environment(self.device),
        )
        try:
            stage = self.stage(case)
            record = replace(record, settings=self._settings(stage, cell))
            outcome, measurements = stage.judged(cell)
            record = replace(
                record,
                measurements=measurements,
                seconds=outcome.seconds,
                cpu_seconds=outcome.cpu_seconds,
                peak_bytes=outcome.peak_bytes,
                steps=outcome.steps,
                examples_seen=outcome.examples_seen,
                original_seconds=stage.original.about["seconds"],
                forgotten=_forgotten(stage.posed),
                notes=(*stage.posed.notes, *outcome.problem.notes, *outcome.notes),
                precision=resolve_precision(stage.recipe.precision, outcome.model, self.device),
                status=DONE,
            )
        except NotApplicable as error:
            record = replace(record, status=NOT_APPLICABLE, message=str(error))
        except Exception as error:  # noqa: BLE001 - whatever a method raises is its result, and the others go on
            record = replace(record, status=FAILED, message=message(error))
        return replace(record, finished=datetime.now(UTC).isoformat(timespec="seconds"))

    def _settings(self, stage: Stage, cell: Cell) -> dict[str, Any]:
        method = {} if cell.method is None else {"method": cell.method.spec()}
        return {
            **stage.case.settings(),
            **method,
            "recipe": stage.recipe.settings(),
            "oracles": self.experiment.oracles,
            "evaluators": [evaluator.spec() for evaluator in self.experiment.evaluators],
        }

    def _data(self, source: DataSource) -> Splits:
        if source not in self._splits:
            loaded = source.load()
            self._splits[source] = replace(
                loaded,
                train=loaded.train.to(self.device),
                test=loaded.test.to(self.device),
                validation=None if loaded.validation is None else loaded.validation.to(self.device),
            )
        return self._splits[source]

    def check(self, cases: list[Case]) -> None:
        """Load the data, pose every scenario, build every model: what cannot work is said before anything is trained.

        Raises:
            BadInput, NotApplicable: from the plug-in that cannot be used; the case is named.
        """
        for case in cases:
            try:
                stage = self.stage(case)
                if len(stage.posed.forget_ids) == 0:
                    raise BadInput("the scenario forgets nothing")
                few = stage.retained.take(torch.arange(min(2, len(stage.retained))))
                stage.recipe.predict(stage.recipe.fresh(0).to(self.device), few)
            except (BadInput, NotApplicable) as error:
                where = " · ".join(case.lines().values())
                raise type(error)(f"{where} · seed {case.seed}: {error}") from error


def _forgotten(posed: Posed) -> dict[str, Any]:
    return {
        "count": len(posed.forget_ids),
        "ids_sha256": ids_digest(posed.forget_ids),
        "classes": list(posed.forgotten_classes),
    }
