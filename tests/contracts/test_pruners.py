"""What every pruner must do; nothing here knows a pruner by name."""

from __future__ import annotations

import dataclasses
import json
from functools import cache

import pytest
import torch

from lacunar.catalog import registry
from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.rng import generator_of
from lacunar.models.small_cnn import SmallCnn
from lacunar.sparsity.pruner import Pruner
from lacunar.sparsity.scope import Scope
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem
from tests import problems

PRUNERS = registry.names("pruners")


@cache
def conv_problem() -> Problem:
    """A small conv net without residual paths, which every pruner can prune."""
    examples = problems.problem("images").retain
    recipe = Recipe(SmallCnn((1, 8, 8), classes=4, width=6, depth=2), epochs=1, lr=0.05, batch_size=8)
    return Problem.of(recipe.fit(examples, 0), examples, examples.ids[:3], recipe, device="cpu")


def pruned(name, sparsity=0.5, seed=0, **more):
    problem = conv_problem()
    pruner = registry.find("pruners", name, sparsity=sparsity)
    asked = {"recipe": problem.recipe, "retrain": lambda model, mask: model, **more}
    return pruner.mask(problem.model, problem.retain, generator_of(seed, "prune"), **asked)


@pytest.mark.parametrize("name", PRUNERS)
def test_documented_frozen_and_with_the_fields_of_a_scope(name):
    cls = registry.plugin_class("pruners", name)
    assert issubclass(cls, Pruner) and dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen
    assert cls.__doc__ and cls.paper and cls.scores in ("trained", "initial")
    assert {f.name for f in dataclasses.fields(Scope)} <= {f.name for f in dataclasses.fields(cls)}
    pruner = cls()
    assert registry.from_spec("pruners", json.loads(json.dumps(pruner.spec()))) == pruner
    with pytest.raises(BadInput, match=r"in \[0, 1\)"):
        cls(sparsity=1.0)


@pytest.mark.parametrize("name", PRUNERS)
def test_mask_fits_the_model_and_leaves_it_as_found(name):
    problem = conv_problem()
    before, modes = named.digest(problem.model.state_dict()), [m.training for m in problem.model.modules()]
    state = torch.get_rng_state()
    with torch.no_grad():
        mask = pruned(name)
        assert not torch.is_grad_enabled()
    assert named.digest(problem.model.state_dict()) == before
    assert [m.training for m in problem.model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    named.same_keys(named.weights(problem.model), mask)
    assert all(m.dtype == torch.bool for m in mask.values())
    assert named.density(mask) < 1


@pytest.mark.parametrize("name", PRUNERS)
def test_same_stream_same_mask(name):
    assert named.digest(pruned(name, seed=3)) == named.digest(pruned(name, seed=3))


@pytest.mark.parametrize("name", PRUNERS)
def test_counts_are_those_of_a_given_mask(name):
    problem = conv_problem()
    for level in ("global", "layer"):
        pruner = registry.find("pruners", name, sparsity=0.7, level=level)
        first = pruned(name)
        counts = pruner.counts_of(problem.model, first)
        assert pruner.counts_of(problem.model, pruned(name, 0.2, counts=counts)) == counts


@pytest.mark.parametrize("name", PRUNERS)
def test_nothing_outside_an_earlier_mask_comes_back(name):
    first = pruned(name, 0.4)
    second = pruned(name, 0.6, within=first)
    assert named.live(second) < named.live(first)
    assert not any(bool((second[n] & ~first[n]).any()) for n in first)


@pytest.mark.parametrize("name", PRUNERS)
def test_no_sparsity_no_pruning(name):
    assert named.density(pruned(name, 0.0)) == 1
