"""A first training as a job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lacunar.auditing.signals import accuracy
from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.weights import load_tensors
from lacunar.jobs import train
from lacunar.jobs.job import perform
from tests.jobs.asked import OWN


def test_the_model_is_that_of_the_recipe(folder):
    job = train.check(replace(OWN, test="usercode:test_set", seed=3))
    told = perform(job, Path("base"))
    wanted = job.given.recipe.fit(job.given.parts.train, 3)
    assert named.digest(load_tensors("base/base.safetensors")) == named.digest(named.weights(wanted))
    share = accuracy(job.given.recipe.predict(wanted, job.given.parts.test), job.given.parts.test.y)
    assert told.facts["test_accuracy"] == pytest.approx(share)
    assert told.lines[0] == "weights: base/base.safetensors" and told.hint.startswith("next: lacunar unlearn")


def test_labels_that_are_numbers_are_scored_by_their_loss(folder):
    import usercode

    usercode.numbers = (torch.randn(20, 4), torch.randn(20, 3))
    asked = replace(OWN, data="usercode:numbers", recipe={"epochs": 1, "loss": "squared_error"})
    assert set(perform(train.check(asked), Path("base")).facts) == {"weights", "train_loss"}


def test_data_that_do_not_fit_the_model(folder):
    with pytest.raises(BadInput, match="labels run from 1 to 3, but the model has 3 logits"):
        train.check(replace(OWN, data="usercode:one_based"))
