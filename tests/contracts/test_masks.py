"""What every method must keep of a pruned model, whether single weights or whole channels are gone."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from lacunar.core import masks, named
from lacunar.core.errors import NotApplicable
from lacunar.data.examples import Examples
from lacunar.models.small_cnn import SmallCnn
from lacunar.pruners.channel import Channel
from lacunar.pruners.global_magnitude import GlobalMagnitude
from lacunar.sparsity.compact import compact
from lacunar.sparsity.prune_and_train import train_pruned
from lacunar.sparsity.pruner import Pruner
from lacunar.training.recipe import Recipe
from lacunar.unlearning.method import Outcome
from lacunar.unlearning.problem import Problem
from tests import problems
from tests.contracts import toy
from tests.contracts.test_methods import METHODS

PRUNERS: dict[str, Pruner] = {"90 % of the weights": GlobalMagnitude(0.9, level="layer"), "channels": Channel(0.5)}


@cache
def pruned(kind: str) -> Problem:
    examples = problems.problem("images").retain
    assert isinstance(examples, Examples)
    recipe = Recipe(SmallCnn((1, 8, 8), classes=4, width=6, depth=2), epochs=2, lr=0.05, batch_size=8)
    model, mask = train_pruned(recipe, examples, PRUNERS[kind], "init", 0)
    return Problem.of(model, examples, examples.ids[3:12], recipe, device="cpu", mask=mask)


@cache
def result(name: str, kind: str) -> Outcome | NotApplicable:
    """The one run of a method on a pruned model, or why it does not apply."""
    try:
        return toy.quick("methods", name)(pruned(kind))
    except NotApplicable as why:
        return why


def outcome_of(name: str, kind: str) -> Outcome:
    found = result(name, kind)
    if isinstance(found, NotApplicable):
        pytest.skip(str(found))
    return found


@pytest.mark.parametrize("kind", PRUNERS)
@pytest.mark.parametrize("name", METHODS)
def test_pruned_weights_are_bit_equal_zero_and_no_sparsity_is_lost(name, kind):
    outcome = outcome_of(name, kind)
    assert outcome.mask is not None
    assert masks.count(outcome.mask) <= masks.count(pruned(kind).mask)
    for key, w in named.weights(outcome.model).items():
        dead = w[~outcome.mask[key]]
        assert torch.equal(dead.view(torch.int32), torch.zeros_like(dead).int())


@pytest.mark.parametrize("name", METHODS)
def test_dead_channels_can_still_be_cut_out_without_a_difference(name):
    outcome = outcome_of(name, "channels")
    problem = outcome.problem
    small = compact(outcome.model, outcome.mask, problem.recipe.prepare(problem.retain.x))
    assert small.model.conv1.out_channels <= 3 and small.model.conv2.out_channels <= 6
