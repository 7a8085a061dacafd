from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from lacunar.auditing.evaluator import Evaluator
from lacunar.catalog import registry
from lacunar.core.measurement import Measurement
from lacunar.lab.cell import Cell, cases, cells, protocol
from lacunar.lab.experiment import Experiment
from lacunar.lab.judge import key_of
from lacunar.lab.plan import Judging, Plan, Training, over_seeds, trainings
from lacunar.lab.record import DONE, FAILED, Judgement, Record
from lacunar.lab.results import Results
from tests.lab.test_cell import TWO_SCENARIOS

ACCURACY = registry.find("evaluators", "accuracy")


@dataclass(frozen=True)
class Joint(Evaluator):
    """A judge that wants all seeds."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = "nothing"

    def measure(self, trials):
        return [Measurement("trials", float(len(trials)))]


JOINT = Joint()


def plan_of(folder, *judges) -> Plan:
    experiment = Experiment.read(folder)
    return Plan(cells(experiment), judges or experiment.evaluators, experiment.oracles, protocol(experiment))


def record(plan: Plan, cell: Cell, status: str = DONE) -> Record:
    lines = cell.case.lines()
    names = {"method": cell.name, "seed": cell.case.seed, "oracle": cell.oracle, "code": cell.code()}
    return Record(cell.key(plan.protocol), plan.protocol, **lines, **names, status=status, weights="w")


def judged(records, judge, over_seeds=False, status=DONE, weights="w") -> Judgement:
    keys = tuple(r.key for r in records)
    said = (Measurement("x", None, note="failed"),)
    more = {"over_seeds": over_seeds, "status": status, "measurements": said}
    return Judgement(key_of(judge, keys), keys, (weights,) * len(keys), judge.line(), {}, "c", **more)


def test_shared_trainings_come_first_and_originals_once(tiny_experiment):
    todo = plan_of(tiny_experiment(TWO_SCENARIOS)).tasks(Results())
    first = [task for task in todo if isinstance(task, Training)]
    assert todo[: len(first)] == first
    assert len(first) == len(set(first)) == 6 + 6 * 2
    assert [(t.case.scenario.name(), t.case.seed, t.oracle) for t in first[:3]] == [
        ("random_subset", seed, None) for seed in (0, 1, 2)
    ]
    assert [t.oracle for t in first[-3:]] == [None] * 3
    assert trainings([], 2) == []


def test_each_cell_is_followed_by_its_judges_and_joint_judges_come_last(tiny_experiment):
    plan = plan_of(tiny_experiment(), ACCURACY, JOINT)
    todo = [task for task in plan.tasks(Results()) if not isinstance(task, Training)]
    assert todo[:36:2] == plan.cells
    assert [task.cells for task in todo[1:36:2]] == [(cell,) for cell in plan.cells]
    assert [task.cells for task in todo[36:]] == over_seeds(plan.cells)
    assert [[cell.case.seed for cell in task.cells] for task in todo[36:]] == [[0, 1, 2]] * 6
    assert {task.judge for task in todo[36:]} == {JOINT}


def test_a_further_judge_is_all_that_is_left_when_the_rest_is_known(tiny_experiment):
    plan = plan_of(tiny_experiment(), ACCURACY, JOINT)
    records = [record(plan, cell) for cell in plan.cells]
    alone = Results(records, [judged([r], ACCURACY) for r in records])
    left = plan.tasks(alone)
    assert [task.judge for task in left] == [JOINT] * 6
    rows = [[record(plan, cell) for cell in row] for row in over_seeds(plan.cells)]
    whole = replace(alone, judgements=[*alone.judgements, *(judged(row, JOINT, over_seeds=True) for row in rows)])
    assert plan.tasks(whole) == []


def test_what_was_said_of_another_model_is_said_anew(tiny_experiment):
    plan = plan_of(tiny_experiment(), ACCURACY)
    records = [record(plan, cell) for cell in plan.cells]
    said = [judged([r], ACCURACY) for r in records]
    other = judged(records[:1], ACCURACY, weights="those of another run")
    assert plan.tasks(Results(records, [other, *said[1:]])) == [Judging(tuple(plan.cells[:1]), ACCURACY)]


def test_failures_are_open_again_only_on_demand(tiny_experiment):
    plan = plan_of(tiny_experiment(), ACCURACY)
    records = [record(plan, cell) for cell in plan.cells]
    said = [judged([r], ACCURACY) for r in records]
    known = Results(
        [replace(records[0], status=FAILED), *records[1:]], [judged(records[1:2], ACCURACY, status=FAILED), *said[2:]]
    )
    assert plan.tasks(known) == []
    again = [task for task in plan.tasks(known, retry=True) if not isinstance(task, Training)]
    assert again == [plan.cells[0], *(Judging((cell,), ACCURACY) for cell in plan.cells[:2])]


def test_an_edited_judge_is_asked_again(tiny_experiment, edit):
    plan = plan_of(tiny_experiment(), ACCURACY)
    records = [record(plan, cell) for cell in plan.cells]
    known = Results(records, [judged([r], ACCURACY) for r in records])
    edit(type(ACCURACY))
    assert plan.tasks(known) == [Judging((cell,), ACCURACY) for cell in plan.cells]


@pytest.mark.parametrize(("seeds", "said"), [((4,), "seed 4"), ((4, 7), "seeds 4, 7")])
def test_names_for_people(tiny_experiment, seeds, said):
    case = replace(cases(Experiment.read(tiny_experiment()))[0], seed=4)
    assert Training(case, 1).describe().endswith("random_subset:fraction=0.2 · seed 4 · oracle 2")
    assert Training(case).describe().startswith("training · synthetic:") and "original" in Training(case).describe()
    look = Judging(tuple(Cell(case, oracle=0).of_seed(seed) for seed in seeds), ACCURACY)
    assert look.describe().endswith(f"{said} · oracle 1 · accuracy")
