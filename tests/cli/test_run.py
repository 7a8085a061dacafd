from __future__ import annotations

import json

import pytest

from tests.cli.conftest import call, tree
from tests.cli.toy import EXPERIMENT


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.delenv("LACUNAR_STORE", raising=False)
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    return tmp_path


def test_an_experiment_is_run_once(experiment):
    said = call("run", {"--set": "recipe.epochs=1", "--quiet": "", "--json": ""}, str(experiment))
    assert said.code == 0 and said.json["folder"] == str(experiment) and said.json["records"] > 0
    assert json.loads((experiment / "results.jsonl").read_text().splitlines()[0])
    before = tree(experiment)
    again = call("run", {"--set": "recipe.epochs=1"}, str(experiment))
    assert again.code == 0 and tree(experiment)["results.jsonl"] == before["results.jsonl"]
    assert f"lacunar report {experiment}" in again.out + again.err


def test_results_may_go_elsewhere(experiment):
    out = experiment / "elsewhere"
    said = call("run", {"--set": "recipe.epochs=1", "--quiet": "", "--out": str(out)}, str(experiment))
    assert said.code == 0 and (out / "results.jsonl").is_file() and not (experiment / "results.jsonl").exists()


def test_an_experiment_with_unknown_keys_is_refused(tmp_path):
    (tmp_path / "experiment.toml").write_text(EXPERIMENT.replace("seeds", "sedes"))
    said = call("run", {}, str(tmp_path))
    assert said.code == 2 and said.err.startswith("error: ") and "sedes" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["experiment.toml"]
