from __future__ import annotations

from lacunar.catalog.documentation import measures
from tests.cli.conftest import call


def test_metrics_are_listed_with_their_meaning():
    listed = call("metrics", {"--json": ""}).json
    assert set(listed) == set(measures())
    assert {"evaluator", "formula", "range", "direction", "unit", "plain", "noun"} == set(listed["ua"])
    assert "ua: 100 (1 - share of F classified as labelled); in [0, 100]; match" in call("metrics").out


def test_a_metric_is_found_by_its_own_name_and_by_its_evaluator():
    by_measure, by_evaluator = (call("metrics", {"--json": ""}, name).json for name in ("ua", "accuracy"))
    assert by_measure == by_evaluator
    assert by_measure["cost"] and by_measure["measures"]["ua"]["range"] == "[0, 100]"


def test_an_unknown_name_is_answered_with_the_nearest():
    said = call("metrics", {}, "accurac")
    assert said.code == 2 and said.err.startswith("error: unknown metric 'accurac': did you mean 'accuracy'?")
