from __future__ import annotations

import json
import shutil

import pytest
import torch

from lacunar.core.weights import load_model, load_tensors
from lacunar.models.small_cnn import SmallCnn
from lacunar.sparsity.channels.cut import SmallerBuild, cuts_of
from lacunar.training.recipe import Recipe
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


def net() -> torch.nn.Module:
    return SmallCnn((1, 8, 8), width=4, depth=2)()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of ``train`` and one of ``prune``, made once."""
    place = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert call("train", TRAIN).code == 0 and call("prune", PRUNE).code == 0
    return place


@pytest.fixture
def pruned(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_compacted_net_says_the_same(pruned):
    assert call("compact", COMPACT).code == 0
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    sparse = load_model("sparse/base.safetensors", net()).eval()
    recipe = Recipe(SmallCnn((1, 8, 8), width=4, depth=2))
    small = load_tensors("small/base.safetensors")
    assert small["conv2.weight"].shape == (4, 2, 3, 3)
    cuts = cuts_of(json.loads((pruned / "small/compact.json").read_text()))
    smaller = load_model("small/base.safetensors", SmallerBuild(recipe.build, cuts)()).eval()
    assert torch.allclose(smaller(x), sparse(x), atol=1e-5)


def test_it_tells_sizes_before_and_after_and_leaves_the_sparse_model_alone(pruned):
    before = tree(pruned / "sparse")
    said = call("compact", {**COMPACT, "--json": ""})
    first, last = said.json["parameters"]
    assert said.code == 0 and last < first / 2
    assert tree(pruned / "sparse") == before
    assert {p.name for p in (pruned / "small").iterdir()} == {"request.json", "base.safetensors", "compact.json"}


def test_a_model_without_a_mask_has_nothing_to_cut(pruned):
    said = call("compact", {**COMPACT, "--weights": "base"})
    assert said.code == 2 and "mask" in said.err
    assert not (pruned / "small").exists()
