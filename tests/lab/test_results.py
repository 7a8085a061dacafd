from __future__ import annotations

from dataclasses import replace

import pytest

from lacunar.core.errors import BadInput
from lacunar.core.measurement import Measurement
from lacunar.lab.record import Judgement
from lacunar.lab.results import Results, append, latest, read
from tests.lab.test_record import JUDGEMENT, RECORD

BARE = replace(RECORD, measurements=())


def said(value: float, *keys: str, judge: str = "accuracy", **more) -> Judgement:
    keys = keys or ("k",)
    m = (Measurement("x", value),)
    return replace(
        JUDGEMENT, key=f"{judge}{value}", judge=judge, judged=keys, weights=("w",) * len(keys), measurements=m, **more
    )


def joined(records, *judgements):
    return [
        ([m.value for m in r.measurements], [m.value for m in r.over_seeds])
        for r in Results(records, judgements).joined()
    ]


def test_lines_come_back_in_order(tmp_path):
    path = tmp_path / "r.jsonl"
    for line in (RECORD, JUDGEMENT, replace(RECORD, key="l", oracle=2)):
        append(path, line)
    assert Results.of(path) == Results([RECORD, replace(RECORD, key="l", oracle=2)], [JUDGEMENT])
    assert Results.of(tmp_path / "none.jsonl") == Results() and read(tmp_path / "none.jsonl") == []
    first, second = read(path)
    assert [m.name for m in first.measurements] == ["ua", "gone", "ta"]
    assert [m.name for m in second.measurements] == ["ua", "gone"]


def test_the_last_word_of_each_judge_counts():
    assert joined([BARE], said(1.0), said(2.0), said(3.0, judge="mia")) == [([2.0, 3.0], [])]


def test_what_was_said_of_another_model_is_left_out():
    assert joined([replace(BARE, weights="new")], said(1.0)) == [([], [])]
    both = [BARE, replace(BARE, key="l", weights="new")]
    assert joined(both, said(1.0, "k", "l", over_seeds=True)) == [([], [])] * 2


def test_a_judge_is_believed_in_its_last_version_only():
    two = [BARE, replace(BARE, key="l")]
    assert joined(two, said(1.0, "k"), said(1.0, "l"), said(2.0, "k", code="new")) == [([2.0], []), ([], [])]


def test_what_was_said_of_most_seeds_together_counts():
    two = [BARE, replace(BARE, key="l", seed=1)]
    found = joined(two, said(1.0, "k", over_seeds=True), said(2.0, "k", "l", over_seeds=True))
    assert found == [([], [2.0])] * 2
    assert joined(two, said(2.0, "k", "l", over_seeds=True), said(1.0, "k", over_seeds=True)) == found


def test_a_judgement_is_found_by_its_key_and_its_models():
    results = Results([BARE], [said(1.0), said(2.0)])
    assert results.judgement("accuracy1.0", [BARE]) == said(1.0)
    assert results.judgement("accuracy3.0", [BARE]) is None
    assert results.judgement("accuracy1.0", [replace(BARE, weights="new")]) is None


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


@pytest.mark.parametrize("line", ["nonsense", '{"key": "k"}'])
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    (tmp_path / "r.jsonl").write_text(RECORD.line() + line + "\n")
    with pytest.raises(BadInput, match=r"line 2 of .* is not a record"):
        read(tmp_path / "r.jsonl")
