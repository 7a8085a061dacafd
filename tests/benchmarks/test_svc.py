"""The benchmark of the SVC attack: nothing is timed that does not agree, and the page comes from the results."""

from __future__ import annotations

import json

import numpy as np
import pytest
from benchmarks.speed import svc

from lacunar.core.rng import numpy_generator


def attack(n: int = 150) -> svc.Attack:
    rng = numpy_generator(0, "confidences")
    return svc.Attack(rng.beta(8, 0.5, n), rng.beta(3, 0.7, n), rng.beta(5, 0.6, 4 * n))


def test_the_page_is_that_of_the_results():
    _, *rows = (json.loads(line) for line in svc.RESULTS.read_text().splitlines())
    assert svc.page(rows) == svc.PAGE.read_text()
    assert {row["rows"] // 2 for row in rows} == set(svc.SIZES)


def test_ours_is_compared_with_both_direct_calls_before_it_is_timed(monkeypatch):
    said, *runs = svc.measure("toy", attack())
    assert said["same"][f"{svc.PUBLIC} = {svc.OURS}"] >= svc.ALIKE * said["judged"] == svc.ALIKE * 600
    assert 0 < said["efficacy"][svc.OURS] < 100 and len(runs) == 2 * svc.timing.ROUNDS
    monkeypatch.setattr(svc, "solved", lambda attack: np.zeros(600, dtype=bool))
    with pytest.raises(SystemExit, match="toy: of 600 predictions only these are the same"):
        svc.measure("toy", attack())
