from __future__ import annotations

from dataclasses import replace

import pytest

from lacunar.auditing.facts import SPARSER
from lacunar.catalog import registry
from lacunar.core.errors import BadInput
from lacunar.core.store import Store
from lacunar.lab.cell import Cell, cases, cells
from lacunar.lab.experiment import Experiment
from lacunar.lab.plan import Judging, Training
from lacunar.lab.record import DONE, FAILED, Judgement
from lacunar.lab.worker import Worker
from lacunar.training.recipe import Recipe

ACCURACY = registry.find("evaluators", "accuracy")


@pytest.fixture
def worker(tiny_experiment, tmp_path):
    def make(*replaced: tuple[str, str]) -> Worker:
        return Worker(Experiment.read(tiny_experiment(*replaced)), Store(tmp_path / "store"))

    return make


def test_a_cell_leaves_a_record_and_a_judge_a_judgement_of_it(worker):
    one = worker()
    cell = cells(one.experiment)[-1]
    (record,) = one.do(cell)
    assert record.status == DONE and record.key == cell.key(one.protocol) and record.measurements == ()
    assert record.seconds > 0 and record.forgotten["count"] == 12 and record.code == cell.code()
    (said,) = one.do(Judging((cell,), ACCURACY))
    assert isinstance(said, Judgement) and said.judged == (record.key,) and said.weights == (record.weights,)
    assert said.environment["versions"]["torch"] and said.finished >= record.finished and not said.over_seeds
    assert {m.name for m in said.measurements} >= {"ua", "ra", "ta"}


def test_a_judge_that_comes_first_gets_the_record_written_too(worker):
    one = worker()
    record, said = one.do(Judging((cells(one.experiment)[-1],), ACCURACY))
    assert record.status == DONE and said.judged == (record.key,)


def test_what_cannot_be_made_again_is_a_failed_record_and_nothing_is_judged(worker, monkeypatch):
    one = worker()
    monkeypatch.setattr(Recipe, "fit", lambda *given, **more: 1 / 0)
    cell = cells(one.experiment)[-1]
    assert one.do(Training(cell.case)) == []
    (record,) = one.do(Judging((cell,), ACCURACY))
    assert record.status == FAILED and record.message == "ZeroDivisionError: division by zero"


def test_an_oracle_that_cannot_be_trained_fails_only_judges_that_look_at_it(worker, monkeypatch):
    one = worker()
    cell = cells(one.experiment)[-1]
    one.do(cell)
    monkeypatch.setattr(Recipe, "fit", lambda *given, **more: 1 / 0)
    (said,) = one.do(Judging((cell,), registry.find("evaluators", "loss_gap")))
    assert said.status == FAILED and "division by zero" in said.measurements[0].note
    assert one.do(Judging((cell,), ACCURACY))[0].status == DONE


def test_a_method_that_prunes_says_that_oracles_are_dense(worker):
    pruning = "prune_first:pruner=global_magnitude(sparsity=0.5,scope=conv+linear),finetune_epochs=1"
    one = worker(('"fine_tune:epochs=1"', f'"{pruning}", "fine_tune:epochs=1"'))
    notes = {cell.name: one.do(cell)[0].notes for cell in cells(one.experiment)[-2:]}
    assert [SPARSER in said for said in notes.values()] == [True, False]


def test_the_last_case_is_at_hand(worker):
    one = worker()
    first, second, _ = cases(one.experiment)
    held = one.prepared(first)
    assert one.prepared(first) is held and one.prepared(second) is not held
    assert one.prepared(second).splits is held.splits


def test_what_cannot_work_is_said_of_its_case(worker):
    one = worker(("random_subset:fraction=0.2", "whole_class:label=7"))
    with pytest.raises(BadInput, match=r"whole_class:label=7 · seed 0: no training example has label 7"):
        one.check(cases(one.experiment))
    worker().check([])
    good = worker()
    good.check([replace(case, seed=9) for case in cases(good.experiment)])
    assert good.do(Cell(cases(good.experiment)[0], oracle=0))[0].oracle == 0
