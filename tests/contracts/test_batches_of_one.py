"""Every method works where a batch holds one row: BatchNorm cannot normalise it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lacunar.catalog import registry
from lacunar.core import named
from lacunar.core.errors import NotApplicable
from lacunar.core.weights import model_state
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem
from tests.contracts import toy


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.fixture(scope="module")
def problem() -> Problem:
    # One row is forgotten, and of the 17 others the last batch of 8 would hold one.
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(18, 6, generator=generator), torch.arange(18) % 3
    train = Examples.of(x + 2 * torch.nn.functional.one_hot(y, 6), y)
    recipe = Recipe(net, epochs=3, lr=0.05, batch_size=8)
    return Problem.of(recipe.fit(train, 0), train, [4], recipe, device="cpu")


@pytest.mark.filterwarnings("ignore:nothing of .* is left")
@pytest.mark.parametrize("name", registry.names("methods"))
def test_one_row_is_forgotten_and_one_is_left_over(problem, name):
    try:
        outcome = toy.quick("methods", name)(problem)
    except NotApplicable as why:
        pytest.skip(str(why))
    assert named.not_finite(model_state(outcome.model)) == []
