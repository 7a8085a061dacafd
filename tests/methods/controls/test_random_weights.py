from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from lacunar.core import named
from lacunar.core.errors import NotApplicable
from lacunar.core.rng import seed_of
from lacunar.core.weights import model_state
from lacunar.methods.controls.random_weights import RandomWeights
from tests import problems


def test_it_is_a_fresh_model_of_the_recipe_buffers_included():
    problem = problems.problem("images")
    fresh = problem.recipe.fresh(seed_of(0, "random_weights"))
    found = RandomWeights()(problem).model
    assert named.digest(model_state(found)) == named.digest(model_state(fresh))
    first = named.weights(found)["first.weight"]
    assert not torch.equal(first, named.weights(problem.model)["first.weight"])


def test_no_seed_gives_the_weights_that_training_started_from():
    problem = problems.problem("vectors")
    started = named.digest(named.weights(problem.recipe.fresh(0)))
    assert named.digest(named.weights(RandomWeights()(problem).model)) != started


def test_held_and_pruned_weights_are_not_drawn():
    problem = problems.problem("vectors", masked=True)
    weights = named.weights(problem.model)
    where = {name: problem.mask[name] & (name == "0.weight") for name in weights}
    after = named.weights(RandomWeights()(replace(problem, where=where)).model)
    for name, w in weights.items():
        assert torch.equal(after[name][~where[name]], w[~where[name]])
    assert not bool((after["0.weight"] == weights["0.weight"])[where["0.weight"]].any())


def test_frozen_weights_stay_and_stay_frozen():
    problem = problems.problem("vectors")
    model = copy.deepcopy(problem.model)
    model[2].bias.requires_grad_(False)
    after = RandomWeights()(replace(problem, model=model)).model
    assert torch.equal(after[2].bias, model[2].bias) and not after[2].bias.requires_grad
    assert after[0].weight.requires_grad and not torch.equal(after[0].weight, model[0].weight)


def test_a_recipe_that_makes_no_model_is_refused():
    problem = problems.problem("vectors")
    with pytest.raises(NotApplicable, match="random_weights needs a recipe that can"):
        RandomWeights()(replace(problem, recipe=replace(problem.recipe, build=None)))
