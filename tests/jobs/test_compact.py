"""Cutting channels out as a job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lacunar.core.errors import BadInput
from lacunar.core.files import read_json
from lacunar.jobs import compact, prune
from lacunar.jobs.job import perform
from lacunar.jobs.request import Request
from tests.jobs.asked import CNN


def test_half_of_the_channels_go_and_the_record_says_which(folder):
    perform(prune.check(replace(CNN, pruner="channel:sparsity=0.5")), Path("sparse"))
    told = perform(compact.check(Request(weights="sparse")), Path("small"))
    before, after = told.facts["parameters"]
    assert after < before / 2 and told.lines[1] == f"parameters: {before:,} before, {after:,} after"
    assert read_json("small/compact.json")["parameters"] == [before, after]
    with pytest.raises(BadInput, match=r"the model of small/compact\.json is cut already"):
        compact.check(Request(weights="small"))


def test_a_dense_model_has_nothing_to_cut(folder):
    asked = replace(CNN, model="usercode:build", data="usercode:train_set", weights="base.safetensors")
    with pytest.raises(BadInput, match="the model is dense"):
        compact.check(asked)
    with pytest.raises(BadInput, match="--weights is missing"):
        compact.check(replace(asked, weights=None))
