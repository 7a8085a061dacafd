"""The benchmark of compacted nets: what is timed agrees, and the page comes from the results."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from benchmarks.speed import compact

from lacunar.core import masks, named
from lacunar.pruners.channel import Channel

TINY = compact.Case("small_cnn:width=4,depth=2", Channel(0.5), batch_size=8, steps=2)


def test_the_page_is_that_of_the_results():
    _, *rows = (json.loads(line) for line in compact.RESULTS.read_text().splitlines())
    assert compact.page(rows) == compact.PAGE.read_text()
    assert {row["variant"] for row in rows} == set(compact.VARIANTS)


def test_the_three_problems_hold_what_they_say():
    found = compact.problems(TINY)
    dense, masked, small = (named.weights(found[v].model) for v in compact.VARIANTS)
    assert named.count(dense) == named.count(masked) > named.count(small)
    assert found["dense"].mask is None and masks.density(found["element mask"].mask) < 1
    assert found["compacted"].mask is None


def test_nothing_is_timed_that_does_not_agree(monkeypatch):
    rows = compact.measure("tiny", TINY)
    assert len(rows) == 3 * compact.timing.ROUNDS and {row["gap"] < 1e-3 for row in rows} == {True}
    monkeypatch.setattr(compact, "APART", -1.0)
    with pytest.raises(SystemExit, match="tiny: masked and compacted nets differ"):
        compact.measure("tiny", replace(TINY, steps=1))
