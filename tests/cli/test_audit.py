"""Judging a run folder: what is read from it, what must be repeated, and what an exit code says."""

from __future__ import annotations

import json
import sys

import pytest

from lacunar.core.files import read_json, write_json
from lacunar.training.recipe import Recipe
from tests.cli.conftest import call, tree

RUN = {
    "--model": "usercode:build",
    "--weights": "base.safetensors",
    "--data": "usercode:train_set",
    "--test": "usercode:test_set",
    "--forget": "ids.csv",
    "--recipe": "usercode:recipe",
    "--method": "fine_tune",
    "--set": "epochs=1",
    "--out": "r",
}
REPEATED = {option: RUN[option] for option in ("--model", "--data", "--test", "--recipe")}
FEW = {"--oracles": "3", "--procedures": "0"}


@pytest.fixture
def run(folder):
    assert call("unlearn", RUN).code == 0
    return folder


def test_reports_and_exit_codes(run):
    said = call("audit", {**REPEATED, **FEW}, "r")
    report = read_json(run / "r/report.json")
    assert said.code == {"pass": 0, "fail": 3, "inconclusive": 4}[report["verdict"]], said.err
    assert f"verdict: {report['verdict']}\n" in said.out and "report: r/report.html" in said.out
    assert report["asked"]["count"] == 3
    assert (run / "r/report.html").read_text().startswith("<!doctype html>")
    assert not (run / "r/checkpoints").exists()


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 3), ("inconclusive", 4)])
def test_each_verdict_has_its_code(run, monkeypatch, verdict, code):
    from dataclasses import replace

    from lacunar.jobs import audit

    judge = audit.judge
    monkeypatch.setattr(audit, "judge", lambda *a, **k: replace(judge(*a, **k), verdict=verdict))
    assert call("audit", {**REPEATED, "--oracles": "0"}, "r").code == code


def test_without_oracles_it_never_passes(run):
    said = call("audit", {**REPEATED, "--oracles": "0", "--json": ""}, "r")
    assert said.code in (3, 4)
    assert said.json["tier"] == 0 and said.json["report"] == "r/report.html"


def test_names_of_the_catalog_are_read_from_the_folder(folder):
    words = {"--model": "mlp:hidden=8", "--data": "synthetic:n_train=60,n_test=30", "--recipe": "epochs=1"}
    assert call("train", {**words, "--out": "base"}).code == 0
    forget = {"--forget": None, "--scenario": "random_subset:fraction=0.1"}
    assert call("unlearn", {**forget, "--weights": "base", "--method": "do_nothing", "--out": "r"}).code == 0
    assert call("audit", {"--oracles": "0"}, "r").code in (3, 4)


@pytest.mark.parametrize("option", ["--model", "--data", "--test", "--recipe"])
def test_code_is_never_taken_from_a_folder(run, option):
    name = option.removeprefix("--")
    recorded = read_json(run / "r/request.json")
    recorded["asked"][name] = "antigravity_of_a_stranger:payload"
    write_json(run / "r/request.json", recorded)
    (run / "antigravity_of_a_stranger.py").write_text("raise SystemExit('this must not run')\n")
    before = tree(run)
    said = call("audit", {**REPEATED, **FEW, option: None}, "r")
    assert said.code == 2
    assert said.err == (
        f"error: the folder names code, --{name} antigravity_of_a_stranger:payload, which is never taken from a "
        f"folder; if you trust it, repeat --{name} on the command line\n"
    )
    assert "antigravity_of_a_stranger" not in sys.modules
    assert tree(run) == before


@pytest.mark.parametrize(
    ("changed", "value", "sentence"),
    [
        ("method", "stranger:Payload", "the folder names code, --method stranger:Payload, which is never taken"),
        ("scenario", "stranger:Payload", "the folder names code, --scenario stranger:Payload, which is never taken"),
        ("method", "no_such", "unknown method 'no_such'"),
        ("settings", {"epochs": "os.system"}, "setting epochs of fine_tune cannot be 'os.system'"),
        ("settings", [1], "setting settings of request.json cannot be [1]"),
        ("nonsense", 1, "unknown setting of request.json 'nonsense'"),
        ("weights", "elsewhere.safetensors", "there is no weights file 'elsewhere.safetensors'"),
    ],
)
def test_a_strange_request_is_refused(run, changed, value, sentence):
    recorded = read_json(run / "r/request.json")
    recorded["asked"][changed] = value
    write_json(run / "r/request.json", recorded)
    said = call("audit", {**REPEATED, **FEW}, "r")
    assert said.code == 2 and said.err.startswith(f"error: {sentence}"), said.err


def test_what_has_changed_since_is_refused(run):
    sentence = "is not what the run in 'r' used: it has changed since, or is another\n"
    (run / "ids.csv").write_text("3\n5\n9\n")
    assert call("audit", {**REPEATED, **FEW}, "r").err == f"error: --forget {sentence}"
    (run / "ids.csv").write_text("8\n5\n3\n")
    other = {**REPEATED, "--data": "usercode:customers", "--forget": "own.csv"}
    (run / "own.csv").write_text("1007\n1014\n")
    assert call("audit", {**other, **FEW}, "r").err == f"error: --data {sentence}"
    (run / "base.safetensors").write_bytes((run / "r/model.safetensors").read_bytes())
    assert call("audit", {**REPEATED, **FEW}, "r").err == f"error: --weights {sentence}"


def test_a_model_that_was_exchanged_is_refused(run):
    (run / "r/model.safetensors").write_bytes((run / "base.safetensors").read_bytes())
    said = call("audit", {**REPEATED, **FEW}, "r")
    assert said.code == 2 and "do not belong together; run lacunar unlearn again" in said.err


def test_other_folders(run):
    (run / "empty").mkdir()
    assert call("audit", {**REPEATED}, "empty").err == (
        "error: 'empty' is not a run folder: it holds no request.json\n"
    )
    (run / "r/outcome.json").unlink()
    assert "is not finished; repeat its lacunar unlearn command to go on" in call("audit", {**REPEATED}, "r").err
    (run / "r/request.json").write_text(json.dumps({"format": "other"}))
    assert "was not written by this version of lacunar" in call("audit", {**REPEATED}, "r").err
    (run / "r/request.json").write_text("{")
    assert "is not a JSON file" in call("audit", {**REPEATED}, "r").err


def test_one_oracle_is_refused_before_any_training(run):
    said = call("audit", {**REPEATED, "--oracles": "1"}, "r")
    assert said.code == 2 and "epoch" not in said.err and "retrained models show no spread" in said.err


def test_without_test_examples_there_is_no_audit(run):
    recorded = read_json(run / "r/request.json")
    recorded["asked"]["test"] = None
    write_json(run / "r/request.json", recorded)
    said = call("audit", {**REPEATED, "--test": None}, "r")
    assert said.err == "error: an audit needs test examples, which training never saw: give --test\n"


def test_an_interrupted_audit_keeps_the_oracles_that_are_trained(run, monkeypatch):
    fit, calls = Recipe.fit, []

    def interrupted(*args, **settings):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(*args, **settings)

    monkeypatch.setattr(Recipe, "fit", interrupted)
    said = call("audit", {**REPEATED, **FEW}, "r")
    assert said.code == 130
    assert said.err.endswith("interrupted; repeat the same command to go on from the last checkpoint\n")
    monkeypatch.undo()
    monkeypatch.chdir(run)
    said = call("audit", {**REPEATED, **FEW}, "r")
    assert said.code in (0, 3, 4)
    assert "oracle 3 of 3: epoch 1/2" in said.err and "oracle 1 of 3: epoch" not in said.err
    assert not (run / "r/checkpoints").exists()
    assert read_json(run / "r/report.json")["cost"]["retrain_seconds"] > 0
