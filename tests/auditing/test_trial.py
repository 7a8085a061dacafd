from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from lacunar.core.errors import BadInput
from lacunar.training.forward import margin
from tests.evaluators import toy


class Sizes(nn.Module):
    """Passes its input on and notes how many rows it had at a time."""

    def __init__(self):
        super().__init__()
        self.w, self.rows = nn.Parameter(torch.zeros(1)), []

    def forward(self, x):
        self.rows.append(len(x))
        return x + self.w


@pytest.fixture
def trial():
    """300 test examples, seen by a model that counts them."""
    return toy.world(150).seen_as(Sizes())


def test_parts_by_name(trial):
    assert trial.part("forget") is trial.outcome.problem.forget and trial.part("test") is trial.test
    assert trial.part("retain") is trial.outcome.problem.retain and trial.part("held_out") is trial.held_out
    assert torch.equal(trial.labels("test"), trial.test.y)
    with pytest.raises(BadInput, match="this trial has no held_out examples"):
        replace(trial, held_out=None).part("held_out")


def test_logits_are_computed_once_however_many_ask(trial):
    first = trial.logits("test")
    assert trial.logits("test") is first is replace(trial, seed=9).logits("test")
    assert sum(trial.outcome.model.rows) == len(trial.test) == 300
    assert torch.equal(first, trial.test.x) and first.dtype == torch.float32


def test_a_signal_is_reduced_batch_by_batch_and_kept(trial):
    shapes = []

    def of(z, y):
        shapes.append(tuple(z.shape))
        return margin(z, y)

    found = trial.signal("test", of)
    assert shapes == [(128, 3), (128, 3), (44, 3)] and found.shape == (300,)
    assert trial.signal("test", of) is found and sum(trial.outcome.model.rows) == 300
    assert torch.equal(found, margin(trial.test.x, trial.test.y))


def test_a_signal_comes_from_logits_that_are_at_hand(trial):
    z = trial.logits("test")
    assert torch.equal(trial.signal("test", margin), margin(z, trial.test.y))
    assert sum(trial.outcome.model.rows) == 300


def test_losses_are_those_of_the_recipe_either_way(trial):
    first = trial.losses("test")
    fresh = trial.seen_as(Sizes())
    z = fresh.logits("test")
    assert torch.equal(fresh.losses("test"), first) and first.dtype == torch.float64
    assert torch.allclose(first, nn.functional.cross_entropy(z.double(), trial.test.y, reduction="none"))


def test_other_models_go_the_same_way(trial):
    a, b = Sizes(), Sizes()
    whole = replace(trial, oracles=(a, b))
    assert [t.outcome.model for t in whole.oracle_trials()] == [a, b]
    assert whole.seen_as(a) is whole.seen_as(a) and whole.seen_as(a).memory is whole.memory
    assert whole.original().outcome.model is whole.outcome.problem.model
    assert whole.models.oracles == (a, b) and whole.seen_as(a).models.oracles == (a, b)
