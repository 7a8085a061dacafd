"""Pruning as a job: what it leaves, and what is refused before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lacunar.core.errors import BadInput
from lacunar.core.files import read_json
from lacunar.core.weights import load_mask, load_tensors
from lacunar.jobs import prune
from lacunar.jobs.job import perform
from tests.jobs.asked import OWN

ASKED = replace(OWN, weights="base.safetensors", pruner="global_magnitude:sparsity=0.5,scope=conv+linear")


def test_the_largest_weights_live_and_the_others_are_zero(folder):
    told = perform(prune.check(ASKED), Path("sparse"))
    mask, weights, before = (
        load_mask("sparse/mask.safetensors"),
        load_tensors("sparse/base.safetensors"),
        load_tensors("base.safetensors"),
    )
    for name, live in mask.items():
        assert bool((weights[name] == before[name] * live).all())
    matrices = [name for name in mask if mask[name].ndim == 2]
    kept = min(float(before[n][mask[n]].abs().min()) for n in matrices)
    assert all(float(before[n][~mask[n]].abs().max()) <= kept for n in matrices)
    assert told.facts["density"]["scope"] == 0.5 and read_json("sparse/pruned.json")["live"]
    assert told.lines[1].startswith("live: 0.5000 of the weights in scope")


def test_the_mask_of_the_weights_bounds_it(folder):
    perform(prune.check(ASKED), Path("sparse"))
    more = replace(ASKED, weights="sparse", pruner="global_magnitude:sparsity=0.75,scope=conv+linear")
    assert perform(prune.check(more), Path("sparser")).facts["density"]["scope"] == 0.25
    once, twice = load_mask("sparse/mask.safetensors"), load_mask("sparser/mask.safetensors")
    assert not any(bool((twice[name] & ~once[name]).any()) for name in once)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pruner": None}, "--pruner is missing"),
        ({"weights": None, "mask": "mask.safetensors"}, "--mask says which weights of a trained model are live"),
        ({"finetune": {"epochs": 1}, "rewind": "init"}, "--rewind init takes them back"),
        ({"finetune": {"epoch": 1}}, "unknown setting of recipe 'epoch'"),
    ],
)
def test_what_is_refused(folder, changes, sentence):
    with pytest.raises(BadInput, match=sentence):
        prune.check(replace(ASKED, **changes))


def test_a_probe_is_prepared(folder):
    given = prune.check(ASKED).given
    assert prune.probe(given).shape == (prune.PROBE, 4)
