"""A model, a data set and a list of ids that the package has never seen."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from lacunar.core.weights import load_tensors, save_tensors
from lacunar.data.ids import ids_digest
from lacunar.jobs.data_parts import parts
from lacunar.jobs.request import Request
from tests.cli.conftest import call

POINTS = {
    "--model": "usercode:build",
    "--weights": "base.safetensors",
    "--data": "usercode:train_set",
    "--test": "usercode:test_set",
    "--forget": "ids.csv",
    "--recipe": "usercode:recipe",
    "--method": "fine_tune",
    "--set": ["epochs=1", "lr=0.02"],
    "--out": "r",
}
CUSTOMERS = {**POINTS, "--data": "usercode:customers", "--test": "usercode:other_customers"}
WORDS = {
    **POINTS,
    "--model": "usercode:Words",
    "--weights": "words.safetensors",
    "--data": "usercode:words",
    "--test": "usercode:more_words",
}


def forgotten(folder):
    return json.loads((folder / "r/outcome.json").read_text())["forget"]


@pytest.mark.parametrize("options", [POINTS, WORDS], ids=["plain data set", "dicts"])
def test_positions(folder, options):
    said = call("unlearn", options)
    assert said.code == 0, said.err
    assert forgotten(folder) == {"count": 3, "ids_sha256": ids_digest(torch.tensor([3, 5, 8]))}
    before, after = load_tensors(options["--weights"]), load_tensors("r/model.safetensors")
    assert set(after) == set(before)
    assert any(not torch.equal(before[n], after[n]) for n in before)


def test_ids_of_the_data_set_from_a_column(folder):
    (folder / "leave.csv").write_text("name,customer_id\na,1021\nb,1035\n")
    said = call("unlearn", {**CUSTOMERS, "--forget": "leave.csv", "--id-column": "customer_id"})
    assert said.code == 0, said.err
    assert "positions" not in said.err
    assert forgotten(folder) == {"count": 2, "ids_sha256": ids_digest(torch.tensor([1021, 1035]))}


def test_positions_are_not_taken_for_the_ids_of_the_data_set(folder):
    said = call("unlearn", CUSTOMERS)
    assert said.code == 2
    assert "3 of 3 ids are not in the data (which holds 30 examples): 3, 5, 8" in said.err


@pytest.mark.parametrize("name", ["ids.json", "ids.npy", "ids.txt"])
def test_other_lists(folder, name):
    if name.endswith("npy"):
        np.save(folder / name, np.array([3, 5, 8]))
    else:
        (folder / name).write_text("[3, 5, 8]" if name.endswith("json") else "3\n5\n8\n")
    facts = call("check", {**POINTS, "--out": None, "--forget": name, "--json": ""}).json
    assert facts["forget"]["count"] == 3


def test_scenarios_serve_own_data_too(folder):
    said = call("check", {**POINTS, "--out": None, "--forget": None, "--scenario": "whole_class:label=1", "--json": ""})
    assert said.json["forget"]["classes"] == {"1": 10}
    assert any("class 1 disappears" in note for note in said.json["notes"])


def test_recipe_settings_instead_of_code(folder):
    recipe = call("check", {**POINTS, "--out": None, "--recipe": ["epochs=7", "lr=0.3"], "--json": ""}).json["recipe"]
    assert (recipe["epochs"], recipe["lr"]) == (7, 0.3)
    assert recipe["build"] == "usercode:build"


def test_without_a_recipe_the_reader_is_told(folder):
    said = call("unlearn", {**POINTS, "--recipe": None})
    assert said.code == 0
    assert "no --recipe was given: retraining for comparison uses lacunar's defaults (epochs=30, lr=0.1" in said.err
    assert any("no --recipe was given" in note for note in json.loads((folder / "r/outcome.json").read_text())["notes"])


def test_a_mask_is_kept(folder):
    mask = load_tensors("mask.safetensors")
    save_tensors("sparse.safetensors", {name: t * mask[name] for name, t in load_tensors("base.safetensors").items()})
    said = call("unlearn", {**POINTS, "--weights": "sparse.safetensors", "--mask": "mask.safetensors"})
    assert said.code == 0, said.err
    after = load_tensors("r/model.safetensors")
    assert all(bool((after[name][~mask[name]] == 0).all()) for name in mask)
    assert all(torch.equal(load_tensors("r/mask.safetensors")[name], mask[name]) for name in mask)


def test_same_seed_same_weights(folder):
    for out, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert call("unlearn", {**POINTS, "--set": "batch_size=4", "--out": out, "--seed": seed}).code == 0
    a, b, c = (load_tensors(f"{out}/model.safetensors") for out in "abc")
    assert all(torch.equal(a[n], b[n]) for n in a)
    assert any(not torch.equal(a[n], c[n]) for n in a)


def test_json_is_all_there_is_on_standard_output(folder):
    said = call("unlearn", {**POINTS, "--json": ""})
    assert said.json["folder"] == "r" and said.json["method"]["settings"]["lr"] == 0.02


def test_quiet_says_nothing_on_standard_error(folder):
    assert call("unlearn", {**POINTS, "--quiet": ""}).err == ""


def test_own_test_data_without_ids_are_numbered_after_the_training_data(folder):
    found = parts("usercode:train_set", "usercode:test_set")
    assert found.test.ids.tolist() == list(range(30, 42))
    assert parts("usercode:train_set").test is None


def test_an_option_at_its_default_overrules_a_record():
    recorded = Request(seed=5, device="cuda", scenario_seed=3)
    assert Request(seed=0, typed=frozenset({"seed"})).over(recorded).seed == 0
    assert Request().over(recorded).seed == 5


def test_ids_are_given_in_a_file_not_on_the_command_line(folder):
    said = call("unlearn", {**POINTS, "--forget": None, "--scenario": "ids:ids=[1,2]"})
    assert said.code == 2 and "ids are given in a file" in said.err


def test_a_run_that_diverged_leaves_nothing_in_the_way(folder):
    wild = {**POINTS, "--method": "grad_ascent", "--set": ["lr=1e18", "epochs=50"]}
    said = call("unlearn", wild)
    assert said.code == 2 and "lower the learning rate" in said.err
    assert call("unlearn", {**wild, "--set": ["lr=1e-5", "epochs=1"]}).code == 0
