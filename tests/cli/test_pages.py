"""What is listed, described and found on the machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lacunar
from lacunar.catalog import registry
from lacunar.catalog.documentation import measures
from tests.cli.conftest import call

EXPERIMENT = """
dataset = "synthetic:n_train=80,n_test=40,classes=3,shape=[6],validation=0.25"
model = "mlp:hidden=8"
scenarios = ["random_subset:fraction=0.2"]
methods = ["do_nothing"]
evaluators = ["accuracy"]
seeds = [0]
oracles = 2
"""
VERBS = [
    "demo",
    "train",
    "select",
    "unlearn",
    "audit",
    "check",
    "run",
    "report",
    "methods",
    "metrics",
    "datasets",
    "doctor",
]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb):
    said = call(verb, {}, "--help")
    assert said.code == 0 and "--debug" in said.out


@pytest.mark.parametrize(("verb", "kind"), [("methods", "methods"), ("datasets", "datasets")])
def test_lists(verb, kind):
    listed = call(verb, {"--json": ""}).json
    assert list(listed) == registry.names(kind)
    plain = [line for line in call(verb).out.splitlines() if line and not line.endswith(":")]
    assert sorted(line.split()[0] for line in plain) == registry.names(kind)


def test_methods_are_listed_by_family():
    blocks = [block.splitlines() for block in call("methods").out.split("\n\n")]
    found = {head.removesuffix(":"): [line.split()[0] for line in lines] for head, *lines in blocks}
    assert found["controls"] == ["do_nothing", "random_weights", "retrain"]
    assert all(registry.family("methods", name) == family for family, names in found.items() for name in names)


@pytest.mark.parametrize("name", registry.names("methods"))
def test_every_method_has_a_page(name):
    page = call("methods", {"--json": ""}, name).json
    assert page["paper"] and page["about"]
    assert set(page["settings"]) == set(registry.find("methods", name).settings())
    assert call("methods", {}, name).out.startswith(f"{name}\n")


def test_a_page_shows_defaults_and_letters():
    out = call("methods", {}, "l1_sparse").out
    assert "gamma: 0.0001 (float)" in out
    assert "γ_t = γ (1 - t/T)" in out and "\\gamma" not in out


def test_metrics_are_listed_with_their_meaning():
    listed = call("metrics", {"--json": ""}).json
    assert set(listed) == set(measures())
    assert {"evaluator", "formula", "range", "direction", "unit", "plain", "noun"} == set(listed["ua"])
    assert "ua: 100 (1 - share of F classified as labelled); in [0, 100]; match" in call("metrics").out


def test_a_metric_is_found_by_its_own_name_and_by_its_evaluator():
    by_measure, by_evaluator = (call("metrics", {"--json": ""}, name).json for name in ("ua", "accuracy"))
    assert by_measure == by_evaluator
    assert by_measure["cost"] and by_measure["measures"]["ua"]["range"] == "[0, 100]"


@pytest.mark.parametrize(
    ("verb", "name", "sentence"),
    [
        ("methods", "fine_tun", "unknown method 'fine_tun': did you mean 'fine_tune'?"),
        ("metrics", "accurac", "unknown metric 'accurac': did you mean 'accuracy'?"),
        ("datasets", "digit", "unknown dataset 'digit': did you mean 'digits'?"),
    ],
)
def test_unknown_names(verb, name, sentence):
    said = call(verb, {}, name)
    assert said.code == 2 and said.err.startswith(f"error: {sentence}")


def test_doctor(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LACUNAR_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("LACUNAR_MALLOC", "0")
    found = call("doctor", {"--json": ""}).json
    assert found["versions"]["torch"] and found["hardware"]["threads"] >= 1
    assert found["writable"] == {str(tmp_path): True}
    assert found["allocator"] == {"malloc": "as found", "why": "LACUNAR_MALLOC=0"}
    assert "training and" in found["data"]["digits"] and "not on this machine" in found["data"]["cifar10"]
    assert "torch: " in call("doctor").out


def test_doctor_tells_a_folder_that_cannot_be_written(tmp_path):
    from lacunar.machine.doctor import examine

    assert examine(tmp_path / "not there")["writable"] == {str(tmp_path / "not there"): False}


def test_demo(tmp_path, monkeypatch):
    from lacunar.jobs import demo

    monkeypatch.setattr(demo, "EXAMPLES", 200)
    monkeypatch.setattr(demo, "WRONG", 16)
    monkeypatch.setattr(demo, "METHODS", ("do_nothing", "l1_sparse:epochs=2"))
    said = call("demo", {"--out": str(tmp_path), "--oracles": "3", "--json": ""})
    assert said.code == 0, said.err
    rows = {row["method"]: row for row in said.json["rows"]}
    assert list(rows) == ["do_nothing", "l1_sparse", "mean of 3 retrained"]
    assert rows["do_nothing"]["verdict"].startswith("fail")
    assert float(rows["mean of 3 retrained"]["forget acc."]) < float(rows["do_nothing"]["forget acc."]) - 50
    assert said.json["report"] == str(tmp_path / "l1_sparse/report.html")
    assert json.loads((tmp_path / "do_nothing/report.json").read_text())["asked"]["count"] == 16


def test_bugs_end_with_1(monkeypatch):
    from lacunar.catalog import documentation

    monkeypatch.setattr(documentation, "summaries", lambda kind: 1 / 0)
    said = call("methods")
    assert said.code == 1
    assert said.err == (
        "error: ZeroDivisionError: division by zero (a bug in lacunar or in the code it was given; --debug shows "
        "where)\n"
    )


def test_files_that_cannot_be_written_are_bad_input(tmp_path, monkeypatch):
    from lacunar.catalog import documentation

    def full(kind):
        raise PermissionError(13, "Permission denied", "runs/r1")

    monkeypatch.setattr(documentation, "summaries", full)
    said = call("methods")
    assert (said.code, said.err) == (2, "error: Permission denied: 'runs/r1'\n")


def test_experiments(tmp_path, monkeypatch):
    monkeypatch.delenv("LACUNAR_STORE", raising=False)
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    assert call("report", {}, str(tmp_path)).err == (
        f"error: there are no results in {str(tmp_path)!r}: run the experiment first\n"
    )
    said = call("run", {"--set": "recipe.epochs=1", "--quiet": "", "--json": ""}, str(tmp_path))
    assert said.json["folder"] == str(tmp_path) and said.json["records"] > 0
    assert json.loads((tmp_path / "results.jsonl").read_text().splitlines()[0])
    written = call("report", {"--json": ""}, str(tmp_path)).json["written"]
    assert str(tmp_path / "report.html") in written and all(Path(path).is_file() for path in written)


def test_an_experiment_with_unknown_keys_is_refused(tmp_path):
    (tmp_path / "experiment.toml").write_text(EXPERIMENT.replace("seeds", "sedes"))
    said = call("run", {}, str(tmp_path))
    assert said.code == 2 and said.err.startswith("error: ") and "sedes" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["experiment.toml"]


@pytest.mark.parametrize("start", [["-m", "lacunar"], ["-c", "import lacunar.cli; lacunar.cli.main()"]])
def test_version(start):
    printed = subprocess.run([sys.executable, *start, "--version"], capture_output=True, text=True, check=True).stdout
    assert printed == f"{lacunar.__version__}\n"
