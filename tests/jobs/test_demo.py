"""The demonstration, smaller."""

from __future__ import annotations

import pytest

from lacunar.jobs import demo


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    place, said = tmp_path_factory.mktemp("demo"), []
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"EXAMPLES": 200, "WRONG": 16, "METHODS": ("do_nothing", "l1_sparse:epochs=1")}.items():
            patch.setattr(demo, name, value)
        return place, demo.perform(place, oracles=3, say=said.append), said


def test_each_way_has_a_row_and_a_report(told):
    place, found, _ = told
    assert [row["method"] for row in found.facts["rows"]] == ["do_nothing", "l1_sparse", "mean of 3 retrained"]
    assert found.facts["report"] == str(place / "l1_sparse/report.html")
    assert (place / "do_nothing/report.html").is_file() and found.lines[-1] == f"report: {found.facts['report']}"


def test_what_happens_is_told(told):
    _, _, said = told
    assert said[0].startswith("training a net on 200 digits, 16 of them with wrong labels")
    assert said[1] == "retraining 3 nets without them, for comparison" and "do_nothing" in said[2]
