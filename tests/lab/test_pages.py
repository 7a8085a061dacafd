from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from lacunar.core.errors import BadInput
from lacunar.lab.pages import plus_minus, write
from lacunar.lab.results import append
from lacunar.lab.table import Estimate
from tests.lab.test_table import RECORDS
from tests.lab.test_table import record as made


@pytest.fixture
def folder(tmp_path):
    for r in RECORDS:
        append(tmp_path / "results.jsonl", r)
    return tmp_path


def test_four_files_from_the_results_alone(folder):
    paths = write(folder)
    assert [p.name for p in paths] == ["table.md", "table.tex", "table.csv", "report.html"]
    text = paths[0].read_text()
    assert "d · m · s: what was measured" in text and "d · m · s: gap to the oracle" in text
    close, far = (next(row for row in text.splitlines() if row.startswith(f"| {name}")) for name in ("close", "far"))
    assert "6.3 ± 3.8" in close and "2 ± 0" in close and "0.2 ± 0" in close
    assert "30 ± 0" in far
    assert "24 ± 0\\*" in text and "oracle: own spread" in text
    assert "<svg" in paths[3].read_text() and "lacunar" in paths[3].read_text()


def test_the_long_table_holds_the_numbers_in_full(folder):
    rows = list(csv.DictReader(write(folder)[2].read_text().splitlines()))
    (close,) = [r for r in rows if r["method"] == "close" and r["measurement"] == "ua"]
    assert float(close["mean"]) == pytest.approx(19 / 3) and float(close["gap"]) == pytest.approx(1 / 3)
    assert float(close["oracle_band"]) == pytest.approx(4.1083, abs=1e-3)
    assert [float(v) for v in close["values"].split()] == [5.0, 6.0, 8.0]
    assert {r["measurement"] for r in rows} == {"ua", "ra", "margin", "disparity", "seconds", "ratio_to_retraining"}


def test_title_question_and_columns_come_from_the_experiment(folder):
    (folder / "experiment.toml").write_text(
        'title = "Which one?"\nquestion = "Is it far?"\ncolumns = ["margin", "broken", "never"]\ndisparity = ["ua"]\n'
    )
    (folder / "environment.json").write_text('{"versions": {"torch": "9.9"}}')
    markdown, _, _, page = (p.read_text() for p in write(folder))
    assert markdown.startswith("# Which one?\n\nIs it far?\n")
    assert "ua, %" not in markdown and "margin" in markdown
    assert "broken is not shown: failed. never is not shown: no judge measures it." in markdown
    assert "Which one?" in page and "9.9" in page


def test_older_results_and_failures_are_mentioned(folder):
    append(folder / "results.jsonl", replace(RECORDS[0], protocol="old", key="old"))
    append(folder / "results.jsonl", made("close", 3, 0.0, status="failed", message="it broke"))
    text = write(folder)[0].read_text()
    assert "1 older results of another protocol (recipe, number of oracles) are left out." in text
    assert "close: seed 3: failed: it broke." in text


def test_too_few_seeds_for_a_mean(tmp_path):
    for r in RECORDS:
        if r.seed < 2:
            append(tmp_path / "results.jsonl", r)
    text = write(tmp_path)[0].read_text()
    assert "single values, since a mean needs 3 seeds" in text and "5 / 6" in text


def test_nothing_to_report(tmp_path):
    with pytest.raises(BadInput, match=r"there are no results in .*: run the experiment first"):
        write(tmp_path)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate.of([5.0, 6.0, 8.0]), "6.3 ± 3.8"),
        (Estimate.of([100.0, 100.0, 100.0]), "100 ± 0"),
        (Estimate((5.0, 6.25)), "5 / 6.25"),
        (Estimate(), "–"),
        (Estimate((5.0,), 5.0, 4.0, 7.5), "5 [4, 7.5]"),
        (Estimate((5.0,), 5.0), "5"),
    ],
)
def test_a_mean_with_its_interval(estimate, text):
    assert plus_minus(estimate) == text


def test_few_decimals_on_demand():
    assert plus_minus(Estimate.of([0.0001, 0.0002, 0.0003]), most=3) == "0.000 ± 0.000"
