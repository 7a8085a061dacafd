from __future__ import annotations

import json

from lacunar.core.weights import load_tensors
from tests.cli.conftest import call, tree

RUN = {
    "--model": "usercode:build",
    "--weights": "base.safetensors",
    "--data": "usercode:train_set",
    "--recipe": "usercode:recipe",
    "--forget": "ids.csv",
    "--method": "fine_tune",
    "--set": "epochs=1",
}


def test_a_clean_model_and_what_was_done_are_left_in_the_folder(folder):
    said = call("unlearn", {**RUN, "--out": "r", "--json": ""})
    assert said.code == 0, said.err
    assert {p.name for p in (folder / "r").iterdir()} == {"request.json", "model.safetensors", "outcome.json"}
    assert json.loads((folder / "r/outcome.json").read_text())["forget"]["count"] == 3
    assert load_tensors("r/model.safetensors").keys() == load_tensors("base.safetensors").keys()


def test_a_finished_run_is_read_and_another_one_needs_force(folder):
    assert call("unlearn", {**RUN, "--out": "r"}).code == 0
    before = tree(folder)
    assert call("unlearn", {**RUN, "--out": "r"}).code == 0 and tree(folder) == before
    other = call("unlearn", {**RUN, "--out": "r", "--seed": "1"})
    assert other.code == 2 and "--force" in other.err and tree(folder) == before
    assert call("unlearn", {**RUN, "--out": "r", "--seed": "1", "--force": ""}).code == 0
    assert tree(folder)["r/model.safetensors"] != before["r/model.safetensors"]


def test_a_quiet_run_says_nothing_on_the_side(folder):
    assert call("unlearn", {**RUN, "--out": "a", "--quiet": ""}).err == ""
