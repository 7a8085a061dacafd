"""An experiment as a job."""

from __future__ import annotations

import pytest

from lacunar import lab
from lacunar.core.errors import BadInput
from lacunar.jobs import report, run
from tests.cli.toy import EXPERIMENT


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.delenv("LACUNAR_STORE", raising=False)
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    return tmp_path


def test_results_and_what_comes_next(experiment):
    told = run.perform(str(experiment), overrides=["recipe.epochs=1"], quiet=True)
    records = lab.read(experiment / "results.jsonl")
    assert records and told.facts == {"folder": str(experiment), "records": len(records)}
    assert (
        told.lines == (f"results: {experiment / 'results.jsonl'}",)
        and told.hint == f"next: lacunar report {experiment}"
    )
    written = report.perform(str(experiment)).facts["written"]
    assert str(experiment / "report.html") in written


def test_an_unknown_override(experiment):
    with pytest.raises(BadInput, match="epoch"):
        run.perform(str(experiment), overrides=["recipe.epoch=1"])
