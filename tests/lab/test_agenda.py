from __future__ import annotations

from dataclasses import replace

from lacunar.lab.agenda import Agenda, following
from lacunar.lab.cell import Cell, cases, cells
from lacunar.lab.experiment import Experiment
from lacunar.lab.plan import Judging, Training
from lacunar.lab.record import DONE, FAILED, Record
from tests.lab.test_plan import ACCURACY, JOINT


def test_judging_waits_for_all_cells_that_it_looks_at(tiny_experiment):
    a, b = cells(Experiment.read(tiny_experiment()))[:2]
    joint = Judging((a, b), JOINT)
    agenda = Agenda([joint, a, b])
    assert agenda.take(None, []) == a and agenda.take(None, []) == b
    assert agenda.take(None, []) is None
    done = [Record("k", "p", "d", "m", "dense", "s", "x", 0)]
    assert agenda.finished(a, done) == [] and agenda.take(None, []) is None
    assert agenda.finished(b, done) == [] and agenda.take(None, []) == joint
    assert agenda.take(None, []) is None


def test_a_judge_looks_at_what_did_not_fail_and_is_not_asked_about_nothing(tiny_experiment):
    a, b, c = cells(Experiment.read(tiny_experiment()))[:3]
    agenda = Agenda([a, b, c, Judging((a, b), JOINT), Judging((c,), ACCURACY)])
    for _ in range(3):
        agenda.take(None, [])
    failed = [Record("k", "p", "d", "m", "dense", "s", "x", 0, status=FAILED)]
    assert agenda.finished(c, failed) == [Judging((c,), ACCURACY)]
    assert agenda.finished(a, failed) == []
    agenda.finished(b, [replace(failed[0], status=DONE)])
    assert agenda.take(None, []) == Judging((b,), JOINT)


def test_judging_follows_its_cell_before_further_cells(tiny_experiment):
    a, b = cells(Experiment.read(tiny_experiment()))[:2]
    look = Judging((a,), ACCURACY)
    agenda = Agenda([a, look, b])
    assert agenda.take(None, []) == a
    agenda.finished(a, [Record("k", "p", "d", "m", "dense", "s", "x", 0)])
    assert [agenda.take(a.case, []) for _ in range(3)] == [look, b, None]


def test_a_worker_stays_with_its_case_and_avoids_those_of_others(tiny_experiment):
    a, b, c = cases(Experiment.read(tiny_experiment()))
    waiting = [Cell(a, oracle=0), Cell(b, oracle=0), Cell(b, oracle=1), Cell(c, oracle=0)]
    assert following(waiting, a, [b]) == 0 and following(waiting, c, [b]) == 3
    assert following(waiting, None, []) == 1
    assert following(waiting, None, [b]) == 0
    assert following(waiting[1:3], c, [b]) == 0
    assert following([Training(c), *waiting], a, []) == 0
