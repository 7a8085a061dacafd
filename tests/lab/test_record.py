from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lacunar.core.measurement import Measurement
from lacunar.lab.record import DONE, FAILED, NOT_APPLICABLE, Judgement, Record, parsed

RECORD = Record(
    key="k",
    protocol="p",
    dataset="digits",
    model="mlp",
    pruner="dense",
    scenario="random_subset",
    method="fine_tune",
    seed=0,
    settings={"recipe": {"epochs": 3}},
    weights="w",
    measurements=(Measurement("ua", 3.5, 1.0, 9.0, 60, unit="%", note="n"), Measurement("gone", None, note="failed")),
    seconds=1.5,
    notes=("α",),
)
JUDGEMENT = Judgement("j", ("k",), ("w",), "accuracy", {}, "c", measurements=(Measurement("ta", 90.0, unit="%"),))


@pytest.mark.parametrize("line", [RECORD, JUDGEMENT, replace(JUDGEMENT, over_seeds=True, seconds=2.0)])
def test_a_line_becomes_what_it_was_made_from(line):
    assert parsed(line.line()) == line and line.line().endswith("}\n")


def test_lines_are_readable_without_the_code():
    content = json.loads(RECORD.line())
    assert content["method"] == "fine_tune" and content["notes"] == ["α"]
    assert content["measurements"][1] == {"name": "gone", "value": None, "note": "failed"}
    assert json.loads(JUDGEMENT.line())["measurements"] == [{"name": "ta", "value": 90.0, "unit": "%"}]


def test_a_line_from_before_judges_had_lines_of_their_own():
    old = {"key": "k", "protocol": "p", "dataset": "d", "model": "m", "pruner": "dense", "scenario": "s"}
    found = parsed(json.dumps({**old, "method": "x", "seed": 1, "measurements": [{"name": "ua", "value": 2.0}]}))
    assert isinstance(found, Record) and found.weights == "" and found.measurements == (Measurement("ua", 2.0),)


@pytest.mark.parametrize(
    "line",
    ["nonsense", "[]", '{"key": "k"}', RECORD.line()[:-2] + ', "colour": 1}', JUDGEMENT.line()[:-2] + ', "colour": 1}'],
)
def test_other_lines_are_refused(line):
    with pytest.raises(ValueError, match=r"Expecting|required|instance|Unexpected"):
        parsed(line)


def test_not_a_number_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        replace(RECORD, seconds=float("nan")).line()


def test_what_went_wrong_is_said_in_words():
    assert replace(RECORD, status=FAILED, message="it broke").trouble == "failed: it broke" and RECORD.trouble == ""
    said = (Measurement("odd", None, note="failed: it stumbled"),)
    for status, words in ((FAILED, "failed: it stumbled"), (NOT_APPLICABLE, ""), (DONE, "")):
        assert replace(JUDGEMENT, status=status, measurements=said).trouble == words


def test_the_names_are_those_of_a_row_whatever_its_sources():
    assert replace(RECORD, key="other", code={"method": "c"}).names == RECORD.names
    assert replace(RECORD, seed=1).names != RECORD.names != replace(RECORD, oracle=0).names
