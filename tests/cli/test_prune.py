"""Prune, compact, unlearn, audit from the command line."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from lacunar.core import masks, named
from lacunar.core.rng import generator_of
from lacunar.core.weights import load_mask, load_model, load_tensors
from lacunar.models.small_cnn import SmallCnn
from lacunar.pruners.global_magnitude import GlobalMagnitude
from tests.cli.conftest import call, tree

TRAIN = {
    "--model": "small_cnn:width=4,depth=2",
    "--data": "digits:n_train=60,n_test=30",
    "--recipe": ["epochs=2", "lr=0.05", "precision=float32"],
    "--out": "base",
    "--quiet": "",
}
PRUNE = {"--weights": "base", "--pruner": "channel:sparsity=0.5", "--out": "sparse", "--quiet": ""}
COMPACT = {"--weights": "sparse", "--out": "small", "--quiet": ""}
UNLEARN = {"--forget": "ids.csv", "--method": "fine_tune", "--set": "epochs=1", "--out": "r", "--quiet": ""}


def net() -> torch.nn.Module:
    return SmallCnn((1, 8, 8), width=4, depth=2)()


@pytest.fixture(scope="module")
def _trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert call("train", TRAIN).code == 0
    return place / "base"


@pytest.fixture
def base(folder, _trained):
    shutil.copytree(_trained, folder / "base")
    return folder


def test_masks_a_trained_model_and_leaves_weights_that_are_kept(base):
    said = call("prune", {**PRUNE, "--pruner": "global_magnitude:sparsity=0.75"})
    assert said.code == 0 and said.err == ""
    assert "live: 0.2500 of the weights in scope" in said.out
    dense, sparse = load_tensors("base/base.safetensors"), load_tensors("sparse/base.safetensors")
    mask = load_mask("sparse/mask.safetensors")
    wanted = GlobalMagnitude(0.75).mask(load_model("base/base.safetensors", net()), None, generator_of(0))
    assert named.digest(mask) == named.digest(wanted)
    kept = {**dense, **masks.keep({n: dense[n] for n in mask}, mask)}
    assert named.digest(sparse) == named.digest(kept)
    found = json.loads((base / "sparse/pruned.json").read_text())
    assert found["pruner"]["name"] == "global_magnitude" and found["live"]["conv1.weight"] == int(
        mask["conv1.weight"].sum()
    )


def test_fine_tuning_and_rewinding(base):
    tuned = call("prune", {**PRUNE, "--finetune": ["epochs=1", "lr=0.01"], "--out": "tuned"})
    rewound = call("prune", {**PRUNE, "--rewind": "1", "--out": "rewound"})
    assert tuned.code == rewound.code == 0
    plain = call("prune", PRUNE)
    assert plain.code == 0
    states = [load_tensors(f"{name}/base.safetensors") for name in ("sparse", "tuned", "rewound")]
    mask = load_mask("sparse/mask.safetensors")
    for state in states:
        assert all(bool((state[n][~m] == 0).all()) for n, m in mask.items())
    assert len({named.digest(state) for state in states}) == 3


def test_without_weights_a_model_is_trained_first(base):
    straight = call("prune", {**TRAIN, **PRUNE, "--weights": None})
    after = call("prune", {**PRUNE, "--out": "after"})
    assert straight.code == after.code == 0
    assert (base / "sparse/base.safetensors").read_bytes() == (base / "after/base.safetensors").read_bytes()


def test_a_finished_pruning_is_not_repeated_and_another_does_not_take_its_place(base):
    assert call("prune", PRUNE).code == 0
    before = tree(base)
    assert call("prune", PRUNE).code == 0 and tree(base) == before
    said = call("prune", {**PRUNE, "--pruner": "channel:sparsity=0.25"})
    assert said.code == 2 and "is not empty" in said.err and tree(base) == before


def test_prune_compact_unlearn_audit(base):
    assert call("prune", {**PRUNE, "--finetune": "epochs=1"}).code == 0
    said = call("compact", {**COMPACT, "--json": ""})
    before, after = said.json["parameters"]
    assert said.code == 0 and after < before / 2
    assert call("unlearn", {**UNLEARN, "--weights": "small"}).code == 0
    weights = load_tensors("r/model.safetensors")
    assert weights["conv1.weight"].shape == (2, 1, 3, 3) and not (base / "r/mask.safetensors").exists()
    audited = call("audit", {"--oracles": "3", "--procedures": "0", "--json": "", "--quiet": ""}, "r")
    assert audited.code in (0, 3, 4) and audited.json["verdict"] in ("pass", "fail", "inconclusive")


def test_unlearning_keeps_the_mask_that_the_folder_holds(base):
    assert call("prune", PRUNE).code == 0
    assert call("unlearn", {**UNLEARN, "--weights": "sparse"}).code == 0
    mask, weights = load_mask("r/mask.safetensors"), load_tensors("r/model.safetensors")
    assert named.digest(mask) == named.digest(load_mask("sparse/mask.safetensors"))
    assert all(bool((weights[n][~m] == 0).all()) for n, m in mask.items())


@pytest.mark.parametrize(
    ("verb", "options", "sentence"),
    [
        ("prune", {**PRUNE, "--pruner": None}, "--pruner is missing; it takes a catalog line"),
        ("prune", {**PRUNE, "--pruner": "chanel"}, "unknown pruner 'chanel': did you mean 'channel'"),
        ("prune", {**PRUNE, "--pruner": "channel:sparsity=1.5"}, "in [0, 1), got 1.5"),
        ("prune", {**PRUNE, "--pruner": 'global_magnitude:scope=["x"]'}, "no weight is named like 'x'"),
        ("prune", {**PRUNE, "--rewind": "2"}, "rewind=2 is no epoch of a recipe with 2 epochs"),
        ("prune", {**PRUNE, "--rewind": "half"}, 'rewind is an epoch, "init" or "none", got \'half\''),
        ("prune", {**PRUNE, "--finetune": "epoch=1"}, "unknown setting of recipe 'epoch': did you mean 'epochs'"),
        ("prune", {**PRUNE, "--finetune": "fast"}, "a setting is written name=value, got 'fast'"),
        ("prune", {**PRUNE, "--finetune": "epochs=1", "--rewind": "init"}, "--rewind init takes them back"),
        ("prune", {**PRUNE, "--finetune": "epochs=1", "--rewind": "1"}, "give only one of the two"),
        (
            "prune",
            {**TRAIN, **PRUNE, "--weights": None, "--pruner": "snip:sparsity=0.5", "--finetune": "epochs=1"},
            "without --weights, snip prunes the initial weights",
        ),
        (
            "prune",
            {**TRAIN, **PRUNE, "--weights": None, "--mask": "mask.safetensors"},
            "and there is none; give --weights",
        ),
        ("prune", {**TRAIN, **PRUNE, "--weights": "nowhere"}, "there is no weights file 'nowhere'"),
        ("prune", {**PRUNE, "--mask": "mask.safetensors"}, "'mask.safetensors' is of another model than the weights"),
        ("compact", {**COMPACT, "--weights": "base", "--mask": "mask.safetensors"}, "is of another model"),
        ("compact", {**COMPACT, "--weights": "base"}, "the model is dense"),
        ("compact", {**COMPACT, "--weights": None}, "--weights is missing"),
    ],
)
def test_bad_input_is_a_sentence_and_leaves_nothing(base, verb, options, sentence):
    before = tree(base)
    said = call(verb, options)
    assert said.code == 2 and said.err.startswith("error: ") and sentence in said.err
    assert tree(base) == before


def test_what_is_cut_already_is_not_cut_or_pruned_again(base):
    assert call("prune", PRUNE).code == 0 and call("compact", COMPACT).code == 0
    said = call("compact", {**COMPACT, "--weights": "small", "--out": "smaller"})
    assert said.code == 2 and "is cut already" in said.err
    said = call("prune", {**PRUNE, "--weights": "small", "--out": "smaller"})
    assert said.code == 2 and "prune the whole one" in said.err


@pytest.mark.parametrize(
    ("verb", "options", "option"),
    [
        ("prune", {**PRUNE, "--out": "base"}, "--weights"),
        ("compact", {**COMPACT, "--out": "sparse"}, "--weights"),
        ("unlearn", {**UNLEARN, "--weights": "sparse", "--out": "sparse"}, "--weights"),
        ("unlearn", {**UNLEARN, "--weights": "base", "--mask": "sparse/mask.safetensors", "--out": "sparse"}, "--mask"),
    ],
)
def test_force_never_removes_an_input(base, verb, options, option):
    assert call("prune", PRUNE).code == 0
    if option == "--mask":
        shutil.copy("sparse/base.safetensors", "base/base.safetensors")
    before = tree(base)
    said = call(verb, {**options, "--force": ""})
    assert said.code == 2 and f"this command reads it ({option})" in said.err
    assert tree(base) == before
