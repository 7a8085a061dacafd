"""What a command says may be done next runs when it is pasted; and what every command takes."""

from __future__ import annotations

import shlex

import pytest

from lacunar.core.files import read_json
from tests.cli.conftest import call, tree
from tests.cli.toy import EXPERIMENT, VERBS

NAMED = {"--model": "mlp:hidden=4", "--data": "synthetic:n_train=60,n_test=30", "--recipe": "epochs=1"}
OWN = {"--model": "usercode:build", "--data": "usercode:train_set", "--test": "usercode:test_set"}
FORGET = {"--weights": "base.safetensors", "--forget": "ids.csv"}
PRUNE = {"--pruner": "global_magnitude:sparsity=0.5,scope=conv+linear", "--out": "a folder"}
CNN = {**NAMED, "--model": "small_cnn:width=4,depth=2", "--data": "digits:n_train=40,n_test=20"}
CODE = {**OWN, "--recipe": "usercode:recipe"}


def pasted(said):
    """Run what the last line says may be next."""
    (line,) = [line for line in said.err.splitlines() if line.startswith("next: ")]
    words = shlex.split(line.removeprefix("next: "))
    assert words[0] == "lacunar"
    return call(words[1], {}, *words[2:])


@pytest.mark.parametrize("asked", [NAMED, {**OWN, "--recipe": "epochs=1"}, CODE], ids=["names", "code", "recipe"])
def test_train_unlearn_audit(folder, asked):
    trained = call("train", {**asked, "--out": "a folder"})
    unlearned = pasted(trained)
    assert unlearned.code == 0, unlearned.err
    audited = pasted(unlearned)
    assert audited.code in (0, 3, 4), audited.err


def test_after_a_training_with_a_scenario_the_same_rows_are_forgotten(folder):
    trained = call("train", {**NAMED, "--scenario": "random_subset:fraction=0.2", "--out": "base"})
    assert pasted(trained).code == 0
    asked = read_json("base-fine_tune/request.json")["asked"]
    assert asked["scenario"] == "random_subset:fraction=0.2"


@pytest.mark.parametrize("asked", [CNN, CODE], ids=["names", "code"])
def test_prune(folder, asked):
    unlearned = pasted(call("prune", {**asked, **PRUNE}))
    assert unlearned.code == 0, unlearned.err


def test_compact(folder):
    assert call("prune", {**CNN, "--pruner": "channel:sparsity=0.5", "--out": "sparse"}).code == 0
    unlearned = pasted(call("compact", {"--weights": "sparse", "--out": "small"}))
    assert unlearned.code == 0, unlearned.err


def test_select(folder):
    recipe = {"--recipe": ["epochs=1", "optimizer=sgd", "clip=1.5"], "--seed": "3"}
    unlearned = pasted(call("select", {**OWN, "--test": None, **FORGET, **recipe, "--out": "a mask.safetensors"}))
    assert unlearned.code == 0, unlearned.err
    asked = read_json("a mask-fine_tune/request.json")["asked"]
    assert (asked["where"], asked["seed"], asked["recipe"]["clip"]) == ("a mask.safetensors", 3, 1.5)


def test_without_test_examples_the_hint_says_what_is_missing(folder):
    said = call("unlearn", {**OWN, **FORGET, "--test": None, "--method": "do_nothing", "--out": "run"})
    assert said.code == 0 and "next:" not in said.err
    assert said.err.endswith(
        "an audit needs test examples: repeat them after lacunar audit run --model usercode:build --data "
        "usercode:train_set --test\n"
    )


def test_run_and_report(tmp_path, monkeypatch):
    monkeypatch.delenv("LACUNAR_STORE", raising=False)
    place = tmp_path / "an experiment"
    place.mkdir()
    (place / "experiment.toml").write_text(EXPERIMENT)
    said = call("run", {"--set": "recipe.epochs=1"}, str(place))
    assert pasted(said).code == 0


@pytest.mark.parametrize("verb", [*VERBS, "prune", "compact"])
def test_every_verb_can_be_quiet(verb):
    assert "--quiet" in call(verb, {}, "--help").out


@pytest.mark.parametrize("verb", ["methods", "metrics", "datasets", "doctor"])
def test_quiet_lists_are_the_same(verb):
    assert call(verb, {"--json": "", "-q": ""}).code == 0


def test_check_takes_the_options_of_unlearn_and_looks_at_the_folder(folder):
    asked = {**CODE, **FORGET, "--method": "fine_tune", "--set": "epochs=1", "--out": "run", "-q": ""}
    asked |= {"--checkpoint-seconds": "9", "--tuning": "usercode:other_customers"}
    before = tree(folder)
    said = call("check", {**asked, "--json": ""})
    assert said.code == 0 and said.json["tuning"] == 12 and said.json["held_out"] is None
    assert tree(folder) == before
    (folder / "run").mkdir()
    (folder / "run/thesis.tex").write_text("years of work")
    said = call("check", asked)
    assert said.code == 2 and "'run' is not empty" in said.err
    assert call("check", {**asked, "--force": ""}).code == 0 and call("unlearn", {**asked, "--force": ""}).code == 0
    assert call("check", asked).code == 0
    said = call("check", {**asked, "--out": "."})
    assert said.code == 2 and "'.' is not empty" in said.err
