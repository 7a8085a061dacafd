"""SNIP scores the weight times the gradient."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.data.examples import Examples
from lacunar.pruners.snip import Snip, saliency
from lacunar.training.recipe import Recipe
from tests import problems


def linear() -> tuple[nn.Module, Examples]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)), Examples.of(
        torch.randn(9, 5), torch.arange(9) % 3
    )


def test_score_is_weight_times_gradient():
    model, examples = linear()
    scores = saliency(model, examples, Recipe())
    loss = F.cross_entropy(model(examples.x), examples.y)
    for name, p in model.named_parameters():
        (g,) = torch.autograd.grad(loss, p, retain_graph=True)
        assert torch.allclose(scores[name], (p * g).abs(), rtol=1e-5, atol=1e-9)


def test_doubling_a_weight_and_halving_its_gradient_changes_nothing():
    # The gradient alone, as in public code under this name, would halve.
    model, examples = linear()
    scaled = copy.deepcopy(model)
    with torch.no_grad():
        scaled[0].weight *= 2
    halved = Examples.of(examples.x / 2, examples.y)
    one, two = saliency(model, examples, Recipe()), saliency(scaled, halved, Recipe())
    assert torch.allclose(one["0.weight"], two["0.weight"], rtol=1e-5, atol=1e-9)


def test_draws_as_many_of_each_class():
    y = torch.tensor([0] * 40 + [1] * 30 + [2] * 3)
    chosen = Snip(per_class=5).draw(y, generator_of(0))
    assert torch.bincount(y[chosen]).tolist() == [5, 5, 3]
    assert len(torch.unique(chosen)) == 13
    assert len(Snip(per_class=5).draw(torch.randn(20, generator=generator_of(1)), generator_of(0))) == 5


def test_inputs_are_prepared_and_statistics_kept():
    problem = problems.problem("images")
    before = named.digest(problem.model.state_dict())
    Snip(0.5).mask(problem.model, problem.retain, generator_of(0), recipe=problem.recipe)
    assert named.digest(problem.model.state_dict()) == before


def test_what_it_cannot_do():
    with pytest.raises(NotApplicable, match="snip needs examples that the model is to keep"):
        Snip(scope="conv+linear").mask(linear()[0], None, generator_of(0))
    with pytest.raises(BadInput, match="per_class"):
        Snip(per_class=0)
