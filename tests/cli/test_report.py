from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import call
from tests.cli.toy import EXPERIMENT


def test_tables_and_a_page_are_written_beside_the_results(tmp_path, monkeypatch):
    monkeypatch.delenv("LACUNAR_STORE", raising=False)
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    assert call("run", {"--set": "recipe.epochs=1", "--quiet": ""}, str(tmp_path)).code == 0
    written = call("report", {"--json": ""}, str(tmp_path)).json["written"]
    assert str(tmp_path / "report.html") in written and all(Path(path).is_file() for path in written)
    assert call("report", {}, str(tmp_path)).out.split() == written


def test_without_results_there_is_nothing_to_report(tmp_path):
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    said = call("report", {}, str(tmp_path))
    assert said.code == 2
    assert said.err == f"error: there are no results in {str(tmp_path)!r}: run the experiment first\n"
