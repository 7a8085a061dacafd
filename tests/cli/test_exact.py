"""An exact unlearner from the command line, in an audit and in an experiment."""

from __future__ import annotations

import pytest

from lacunar import lab
from lacunar.core.files import read_json
from tests.cli.conftest import call

TRAIN = {
    "--model": "logistic",
    "--data": "digits:n_train=200,n_test=100",
    "--recipe": "train=certified_linear(l2=0.5)",
    "--out": "base",
    "--quiet": "",
}
UNLEARN = {"--weights": "base", "--forget": "ids.csv", "--quiet": ""}
EXACT = "delete_exactly:unlearner=certified_linear(l2=0.5)"
EXPERIMENT = """
dataset = "digits:n_train=200,n_test=100"
model = "logistic"
recipe = {train = "certified_linear(l2=0.5)"}
scenarios = ["random_subset:n=4"]
methods = ["delete_exactly:unlearner=certified_linear(l2=0.5)", "do_nothing"]
evaluators = ["accuracy"]
seeds = [0]
oracles = 2
"""


def test_trained_deleted_audited(folder):
    assert call("train", TRAIN).code == 0
    assert read_json("base/request.json")["asked"]["recipe"]["train"] == "certified_linear(l2=0.5)"
    assert call("unlearn", {**UNLEARN, "--method": EXACT, "--out": "exact"}).code == 0
    assert read_json("exact/outcome.json")["facts"]["original_distance"] < 0.01
    few = {"--oracles": "3", "--procedures": "0", "--quiet": ""}
    exact = call("audit", {**few, "--json": ""}, "exact")
    (margin,) = [item for item in exact.json["items"] if item["name"] == "margin_forget"]
    assert abs(margin["value"] - sum(margin["oracles"]) / 3) < 0.01
    assert exact.json["verdict"] != "fail"
    assert call("unlearn", {**UNLEARN, "--method": "do_nothing", "--out": "nothing"}).code == 0
    assert call("audit", few, "nothing").code == 3


@pytest.mark.parametrize(
    ("verb", "options", "sentence"),
    [
        ("train", {**TRAIN, "--recipe": "train=certified"}, "unknown exact_unlearner 'certified': did you mean"),
        ("train", {**TRAIN, "--recipe": "train=certified_linear(l2=-1)"}, "l2 must be a finite number > 0"),
        ("train", {**TRAIN, "--model": "mlp:hidden=4"}, "certified_linear fits a model with weights of the shapes"),
    ],
)
def test_what_cannot_be(folder, verb, options, sentence):
    said = call(verb, options)
    assert said.code == 2 and said.err.startswith(f"error: {sentence}"), said.err
    assert not (folder / "base").exists()


def test_a_net_is_no_linear_model(folder):
    net = {**TRAIN, "--model": "mlp:hidden=4", "--recipe": "epochs=1"}
    assert call("train", net).code == 0
    said = call("unlearn", {**UNLEARN, "--method": EXACT, "--out": "run"})
    assert said.code == 2 and "certified_linear fits a model with weights of the shapes" in said.err
    assert not (folder / "run").exists()


def test_in_an_experiment(tmp_path, monkeypatch):
    monkeypatch.delenv("LACUNAR_STORE", raising=False)
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    assert call("run", {"--quiet": ""}, str(tmp_path)).code == 0
    records = lab.read(tmp_path / "results.jsonl")
    assert {record.status for record in records} == {"done"}
    exact, nothing = ([r for r in records if r.method == line and r.oracle is None] for line in (EXACT, "do_nothing"))
    assert len(exact) == len(nothing) == 1 and exact[0].weights != nothing[0].weights
