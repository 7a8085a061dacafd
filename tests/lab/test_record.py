from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lacunar.core.errors import BadInput
from lacunar.core.measurement import Measurement
from lacunar.lab.record import Record, append, latest, read

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
    measurements=(Measurement("ua", 3.5, 1.0, 9.0, 60, unit="%", note="n"), Measurement("gone", None, note="failed")),
    seconds=1.5,
    notes=("α",),
)


def test_a_record_comes_back_from_its_line(tmp_path):
    append(tmp_path / "r.jsonl", RECORD)
    append(tmp_path / "r.jsonl", replace(RECORD, key="l", oracle=2))
    assert read(tmp_path / "r.jsonl") == [RECORD, replace(RECORD, key="l", oracle=2)]
    assert read(tmp_path / "none.jsonl") == []


def test_lines_are_readable_without_the_code():
    content = json.loads(RECORD.line())
    assert content["method"] == "fine_tune" and content["notes"] == ["α"]
    assert content["measurements"][1] == {"name": "gone", "value": None, "note": "failed"}


def test_a_line_that_was_cut_short_is_left_out_and_mended(tmp_path):
    path = tmp_path / "r.jsonl"
    append(path, RECORD)
    whole = path.read_text()
    path.write_text(whole + RECORD.line()[:50])
    assert read(path) == [RECORD]
    append(path, replace(RECORD, key="l"))
    assert [r.key for r in read(path)] == ["k", "l"]
    path.write_text(RECORD.line()[:50])
    append(path, RECORD)
    assert path.read_text() == whole


def test_the_last_record_of_a_key_counts():
    failed = replace(RECORD, status="failed")
    assert latest([failed, replace(RECORD, key="l"), RECORD])["k"] == RECORD


@pytest.mark.parametrize("line", ["nonsense", '{"key": "k"}', RECORD.line().strip()[:-1] + ', "colour": 1}'])
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    (tmp_path / "r.jsonl").write_text(RECORD.line() + line + "\n")
    with pytest.raises(BadInput, match=r"line 2 of .* is not a record"):
        read(tmp_path / "r.jsonl")


def test_not_a_number_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        replace(RECORD, seconds=float("nan")).line()
