"""Reading a request: what it names, what a folder adds, and what makes two requests the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.files import read_json
from lacunar.core.weights import load_mask, load_tensors, save_mask, save_tensors
from lacunar.jobs.request import Request
from lacunar.jobs.words import needed, read
from lacunar.training.recipe import Recipe
from tests.cli.conftest import call

OWN = {"model": "usercode:build", "data": "usercode:train_set", "recipe": {"epochs": 1}, "device": "cpu"}
FORGET = {**OWN, "weights": "base.safetensors", "forget": "ids.csv"}
RUN = {
    "--model": "usercode:build",
    "--weights": "base.safetensors",
    "--data": "usercode:train_set",
    "--forget": "ids.csv",
    "--recipe": "epochs=1",
    "--method": "do_nothing",
    "--out": "run",
    "--quiet": "",
}


def test_everything_that_is_named_is_there(folder):
    given = read(Request(**FORGET, where="mask.safetensors", tuning="usercode:test_set"))
    assert len(given.parts.train) == 30 and given.parts.test is None and len(given.parts.tuning) == 12
    assert given.posed.forget_ids.tolist() == [3, 5, 8]
    assert torch.equal(given.model[0].weight, load_tensors("base.safetensors")["0.weight"])
    assert not given.model.training and given.mask is None
    assert named.digest(given.where) == named.digest(load_mask("mask.safetensors"))
    assert given.request.recipe["lr"] == 0.1 and given.recipe_stated
    assert set(given.seen) == {"data", "forget", "weights", "where", "tuning"}


def test_what_is_not_named_is_not_there(folder):
    given = read(Request(**{**OWN, "recipe": {}}))
    assert (given.posed, given.model, given.mask, given.where, given.parts.tuning) == (None,) * 5
    assert not given.recipe_stated and set(given.seen) == {"data"}


def test_ids_are_the_same_in_any_order(folder):
    before = read(Request(**FORGET)).seen
    (folder / "ids.csv").write_text("8\n5\n3\n3\n")
    assert read(Request(**FORGET)).seen == before


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"data": None}, "--data is missing"),
        ({"scenario": "whole_class:label=1"}, "not both"),
        ({"forget": None, "id_column": "id"}, "--id-column belongs to --forget FILE"),
        ({"forget": None, "scenario": "ids:ids=[1]"}, "ids are given in a file"),
        ({"where": "other.safetensors"}, "the mask 'other.safetensors' is of another model than the weights"),
        ({"device": "gpu"}, "the device 'gpu' is unknown"),
    ],
)
def test_what_cannot_be_read(folder, asked, sentence):
    save_mask("other.safetensors", {"w": torch.ones(2, dtype=torch.bool)})
    with pytest.raises(BadInput, match=sentence):
        read(Request(**{**FORGET, **asked}))
    with pytest.raises(BadInput, match="--mask is missing; see --help"):
        needed(None, "--mask")


def everything(path):
    save_mask(path, {name: torch.ones_like(m) for name, m in load_mask(path).items()})


def other_weights():
    save_tensors("base.safetensors", {n: 2 * t for n, t in load_tensors("base.safetensors").items()})


CHANGES = {
    "weights": ({}, other_weights),
    "forget": ({}, lambda: Path("ids.csv").write_text("3\n5\n9\n")),
    "mask": ({"--weights": "sparse.safetensors", "--mask": "mask.safetensors"}, lambda: everything("mask.safetensors")),
    "where": ({"--where": "mask.safetensors"}, lambda: everything("mask.safetensors")),
    "recipe": ({"--recipe": "changing:recipe"}, lambda: setattr(sys.modules["changing"], "recipe", Recipe(epochs=3))),
    "data": ({"--data": "changing:train"}, lambda: sys.modules["changing"].train[0].add_(1)),
    "tuning": ({"--tuning": "changing:tuning"}, lambda: sys.modules["changing"].tuning[0].add_(1)),
}


class Changing(ModuleType):
    """A module of the user's whose values change between two calls."""

    def __init__(self):
        super().__init__("changing")
        x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
        self.train, self.tuning = (x[:30].clone(), torch.arange(30) % 3), (x[30:].clone(), torch.arange(10) % 3)
        self.recipe = Recipe(epochs=1)


@pytest.fixture
def changing(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "changing", Changing())
    mask = load_mask("mask.safetensors")
    save_tensors("sparse.safetensors", {n: t * mask[n] for n, t in load_tensors("base.safetensors").items()})


@pytest.mark.parametrize("kind", CHANGES)
def test_whatever_a_request_names_is_part_of_what_makes_it_the_same(kind, changing):
    more, change = CHANGES[kind]
    asked = {**RUN, **more}
    assert call("unlearn", asked).code == 0 and call("unlearn", asked).code == 0
    change()
    said = call("unlearn", asked)
    assert said.code == 2 and "holds no run of this request" in said.err
    assert call("unlearn", {**asked, "--force": ""}).code == 0


METHOD = """
from dataclasses import dataclass
import lacunar

@dataclass(frozen=True)
class Mine(lacunar.Method):
    paper = "mine"
    needs = frozenset()

    def unlearn(self, model, problem):
        {body}
"""


def test_so_is_the_code_of_a_method_of_ones_own(folder):
    """In processes of their own: a module is imported once."""
    asked = {**RUN, "--model": "mlp:hidden=4", "--data": "synthetic:n_train=30,n_test=10", "--method": "mine:Mine"}
    assert (
        call(
            "train", {"--model": asked["--model"], "--data": asked["--data"], "--out": "base", "--recipe": "epochs=1"}
        ).code
        == 0
    )
    words = [w for o, v in {**asked, "--weights": "base"}.items() for w in (o, v) if w]

    def run(body):
        Path("mine.py").write_text(METHOD.format(body=body))
        return subprocess.run([sys.executable, "-m", "lacunar", "unlearn", *words], capture_output=True, text=True)

    assert run("return model").returncode == 0
    assert run("return model  # a comment is no other method").returncode == 0
    said = run("model.train(); return model")
    assert said.returncode == 2 and "holds no run of this request" in said.stderr


@pytest.mark.parametrize("name", ["compact.json", "mask.safetensors", "base.safetensors"])
def test_so_is_what_a_folder_of_weights_holds(name, folder):
    train = {"--model": "small_cnn:width=4,depth=2", "--data": "digits:n_train=40,n_test=20", "--recipe": "epochs=1"}
    assert call("train", {**train, "--out": "dense", "--quiet": ""}).code == 0
    assert call("prune", {"--weights": "dense", "--pruner": "channel:sparsity=0.5", "--out": "sparse"}).code == 0
    assert call("compact", {"--weights": "sparse", "--out": "small"}).code == 0
    place = "small" if name == "compact.json" else "sparse"
    asked = {"--weights": place, "--forget": "ids.csv", "--method": "do_nothing", "--out": "run", "--quiet": ""}
    assert call("unlearn", asked).code == 0
    if name == "mask.safetensors":
        everything(f"sparse/{name}")
    elif name == "compact.json":
        Path("small/compact.json").write_text(json.dumps(read_json("small/compact.json")))
    else:
        save_tensors("sparse/base.safetensors", {n: 2 * t for n, t in load_tensors("sparse/base.safetensors").items()})
    said = call("unlearn", asked)
    assert said.code == 2 and "holds no run of this request" in said.err


def test_selecting_again_to_the_same_path_is_another_request(folder):
    asked = {o: v for o, v in RUN.items() if o not in ("--method", "--out")}
    select = {**asked, "--score": "saliency", "--out": "where.safetensors"}
    assert call("select", {**select, "--pick": "count=5"}).code == 0
    run = {**RUN, "--method": "fine_tune", "--set": "epochs=1", "--where": "where.safetensors"}
    assert call("unlearn", run).code == 0
    assert call("select", {**select, "--pick": "count=9", "--force": ""}).code == 0
    said = call("unlearn", run)
    assert said.code == 2 and "holds no run of this request" in said.err
