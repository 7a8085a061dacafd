from __future__ import annotations

import multiprocessing

import pytest

from lacunar.core.errors import LacunarError
from lacunar.lab.experiment import Experiment
from lacunar.lab.plan import cells
from lacunar.lab.pool import _take
from lacunar.lab.progress import Progress


def test_a_worker_that_died_is_named_by_its_task(tiny_experiment):
    cell = cells(Experiment.read(tiny_experiment()))[0]
    mine, theirs = multiprocessing.Pipe()
    theirs.close()
    with pytest.raises(LacunarError, match=r"a worker process died at .*seed 0 · oracle 1.* Run the experiment again"):
        _take(mine, {mine: cell}, Progress(1, quiet=True))
