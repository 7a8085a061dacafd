"""Training by name, and what unlearn takes from the folder."""

from __future__ import annotations

import json

import pytest
import torch

from lacunar.core.weights import load_tensors
from tests.cli.conftest import call, tree

TRAIN = {
    "--model": "mlp:hidden=8",
    "--data": "synthetic:n_train=60,n_test=30",
    "--recipe": ["epochs=2", "lr=0.05"],
    "--out": "base",
}
UNLEARN = {"--weights": "base", "--forget": "ids.csv", "--method": "fine_tune", "--set": "epochs=1", "--out": "r"}


@pytest.fixture
def base(folder):
    assert call("train", TRAIN).code == 0
    return folder


def test_unlearn_follows_with_what_train_recorded(base):
    assert call("unlearn", UNLEARN).code == 0
    asked = json.loads((base / "r/request.json").read_text())["asked"]
    assert (asked["model"], asked["data"]) == (TRAIN["--model"], TRAIN["--data"])
    assert (asked["recipe"]["epochs"], asked["recipe"]["lr"]) == (2, 0.05)
    assert asked["weights"] == "base/base.safetensors"


def test_scores(base):
    said = call("train", {**TRAIN, "--json": ""})
    assert set(said.json) == {"weights", "train_accuracy", "test_accuracy"}
    assert 0 <= said.json["test_accuracy"] <= 1


def test_a_finished_training_is_not_repeated(base):
    before = tree(base)
    said = call("train", TRAIN)
    assert said.code == 0 and "epoch" not in said.err
    assert tree(base) == before


def test_another_training_does_not_take_its_place(base):
    before = tree(base)
    said = call("train", {**TRAIN, "--seed": "1"})
    assert said.code == 2
    assert said.err == (
        "error: 'base' is not empty and holds no run of this request; choose another folder, or replace the run in it "
        "with --force\n"
    )
    assert tree(base) == before
    old = load_tensors("base/base.safetensors")
    assert call("train", {**TRAIN, "--seed": "1", "--force": ""}).code == 0
    new = load_tensors("base/base.safetensors")
    assert any(not torch.equal(old[n], new[n]) for n in old)


def test_settings_of_the_line_win_over_the_shape_of_the_data(folder):
    assert call("train", {**TRAIN, "--model": "mlp:hidden=8,classes=17"}).code == 0
    assert load_tensors("base/base.safetensors")["head.bias"].shape == (17,)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"--recipe": "lr=-1"}, "lr must be a finite number >= 0, got -1.0"),
        ({"--recipe": "build=x"}, "setting build of recipe cannot be 'x': Input should be callable"),
        ({"--model": "mlp:hiden=8"}, "unknown setting of mlp 'hiden': did you mean 'hidden'? choose from"),
        ({"--model": "mlp:classes=2"}, "labels run from 0 to"),
        ({"--data": "usercode:one_based", "--model": "usercode:build"}, "labels run from 1 to 3, but the model has 3"),
        ({"--data": None}, "--data is missing; see --help for what it takes"),
        ({"--out": "ids.csv"}, "'ids.csv' is a file; give a folder"),
    ],
)
def test_refusals_write_nothing(folder, changes, sentence):
    before = tree(folder)
    said = call("train", {**TRAIN, **changes})
    assert said.code == 2 and said.err.startswith(f"error: {sentence}"), said.err
    assert tree(folder) == before
