from __future__ import annotations

import dataclasses

import pytest

from lacunar.training.callbacks import Callback
from lacunar.training.checkpoint import Checkpoints
from lacunar.training.loop import descend
from lacunar.training.settings import Descent
from lacunar.training.watch import Watch
from tests import problems


class Names(Callback):
    """Notes which of two observers was told, and when."""

    def __init__(self, name, told):
        self.name, self.told = name, told

    def on_epoch(self, loop):
        self.told.append(self.name)


def test_every_descent_of_the_job_is_seen_by_the_jobs_observers_and_its_own():
    problem, told = problems.problem("vectors"), []
    watch = Watch(callbacks=[Names("job", told)])
    for i in range(2):
        descend(
            problem.recipe.fresh(0), problem.retain, problem.loss, Descent(epochs=1), seed=0, watch=watch,
            callbacks=[Names(f"own {i}", told)],
        )  # fmt: skip
    assert sorted(told[:2]) == ["job", "own 0"] and sorted(told[2:]) == ["job", "own 1"]


def test_a_watch_watches_nothing_unless_told_and_cannot_be_changed(tmp_path):
    assert Watch().checkpoints is None and list(Watch().callbacks) == []
    watch = Watch(checkpoints=Checkpoints(tmp_path))
    with pytest.raises(dataclasses.FrozenInstanceError):
        watch.checkpoints = None
