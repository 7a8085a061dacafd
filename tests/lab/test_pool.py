from __future__ import annotations

import multiprocessing
import os
import signal
import time
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import ClassVar

import pytest

from lacunar.core.store import Store
from lacunar.lab.cell import Cell, cases, cells
from lacunar.lab.experiment import Experiment
from lacunar.lab.plan import Training
from lacunar.lab.pool import Here, Processes
from lacunar.lab.worker import Worker
from lacunar.unlearning.method import Method


@dataclass(frozen=True)
class Tells(Method):
    """Says which process it runs in; or ends it, or never ends."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset()

    what: str = "process"

    def unlearn(self, model, problem):
        if self.what == "death":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "sleep":
            time.sleep(600)
        return problem.ends(model, notes=[str(os.getpid())])


@pytest.fixture
def experiment(tiny_experiment):
    return Experiment.read(tiny_experiment())


def test_this_process_does_a_task_at_once(experiment, tmp_path):
    pool = Here(Worker(experiment, Store(tmp_path / "store")))
    (record,) = pool.submit(0, cells(experiment)[-1]).result(timeout=0)
    assert record.status == "done" and pool.workers == 1
    pool.close()


def test_each_worker_is_a_process_with_one_thread_that_keeps_its_tasks(experiment, tmp_path):
    pool = Processes(2, experiment, Store(tmp_path / "store"))
    try:
        a, b, _ = cases(experiment)
        for at in [pool.submit(i, Training(case)) for i, case in enumerate((a, b))]:
            assert at.result() == []
        found = [pool.submit(i, Cell(case, Tells())) for _ in range(2) for i, case in enumerate((a, b))]
        records = [at.result()[0] for at in found]
    finally:
        pool.close()
    places = [record.notes[0] for record in records]
    assert places[0] == places[2] or records[0].key != records[2].key
    assert len(set(places[:2])) == 2 and str(os.getpid()) not in places
    assert {record.environment["hardware"]["threads"] for record in records} == {1}


def test_a_death_is_the_end_of_its_worker_alone(experiment, tmp_path):
    pool = Processes(2, experiment, Store(tmp_path / "store"))
    try:
        a, b, _ = cases(experiment)
        dying, living = pool.submit(0, Cell(a, Tells("death"))), pool.submit(1, Cell(b, Tells()))
        with pytest.raises(BrokenExecutor, match="terminated abruptly"):
            dying.result()
        assert living.result()[0].status == "done"
    finally:
        pool.close()


def test_closing_ends_workers_whatever_they_are_at(experiment, tmp_path):
    pool = Processes(1, experiment, Store(tmp_path / "store"))
    a, *_ = cases(experiment)
    pool.submit(0, Training(a)).result()
    at = pool.submit(0, Cell(a, Tells("sleep")))
    while not at.running():
        time.sleep(0.01)
    pool.close()
    assert at.done() and multiprocessing.active_children() == []
