"""What every pruner must do; nothing here knows a pruner by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch

from lacunar.catalog import registry
from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.core.masks import Mask
from lacunar.core.rng import generator_of
from lacunar.models.small_cnn import SmallCnn
from lacunar.sparsity.pruner import Pruner
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem
from tests import problems
from tests.contracts import toy

PRUNERS = registry.names("pruners")


@cache
def conv_problem() -> Problem:
    """A small conv net without residual paths, which every pruner can prune."""
    examples = problems.problem("images").retain
    recipe = Recipe(SmallCnn((1, 8, 8), classes=4, width=6, depth=2), epochs=1, lr=0.05, batch_size=8)
    return Problem.of(recipe.fit(examples, 0), examples, examples.ids[:3], recipe, device="cpu")


def pruned(name: str, sparsity: float = 0.5, seed: int = 0, **more: Any) -> Mask:
    problem = conv_problem()
    pruner = registry.find("pruners", name, sparsity=sparsity)
    asked = {"recipe": problem.recipe, "retrain": lambda model, mask: model, **more}
    return pruner.mask(problem.model, problem.retain, generator_of(seed, "prune"), **asked)


@dataclasses.dataclass(frozen=True)
class Result:
    """One mask, with what was around the run that made it."""

    mask: Mask
    before: list[Any]
    after: list[Any]


@cache
def result(name: str) -> Result:
    """The one run of a pruner at half of the weights, with grad mode off."""
    with torch.no_grad():
        before = now()
        mask = pruned(name)
        return Result(mask, before, now())


def now() -> list[Any]:
    problem = conv_problem()
    return [toy.shape_of(problem.model), toy.surroundings(), toy.content(problem.retain)]


def outside(mask: Mapping[str, torch.Tensor], earlier: Mapping[str, torch.Tensor]) -> bool:
    """Whether a weight lives that was not live before."""
    return any(bool((mask[name] & ~live).any()) for name, live in earlier.items())


@pytest.mark.parametrize("name", PRUNERS)
def test_documented_frozen_and_with_the_fields_of_a_scope(name):
    cls = toy.documented("pruners", name, Pruner)
    assert cls.paper and cls.scores in ("trained", "initial")
    assert {"sparsity", "scope", "level", "allow_empty"} <= {f.name for f in dataclasses.fields(cls)}
    assert toy.read_back("pruners", cls()) == cls()
    with pytest.raises(BadInput, match=r"in \[0, 1\)"):
        cls(sparsity=1.0)


@pytest.mark.parametrize("name", PRUNERS)
def test_given_model_data_and_global_state_are_left_as_found(name):
    assert result(name).after == result(name).before


@pytest.mark.parametrize("name", PRUNERS)
def test_mask_fits_the_model(name):
    mask = result(name).mask
    named.same_keys(named.weights(conv_problem().model), mask)
    assert all(m.dtype == torch.bool for m in mask.values())
    assert 0 < masks.density(mask) < 1


@pytest.mark.parametrize("name", PRUNERS)
def test_same_stream_same_mask(name):
    assert named.digest(pruned(name)) == named.digest(result(name).mask)


@pytest.mark.parametrize("name", PRUNERS)
def test_counts_are_those_of_a_given_mask(name):
    problem = conv_problem()
    for level in ("global", "layer"):
        pruner = registry.find("pruners", name, sparsity=0.7, level=level)
        counts = pruner.counts_of(problem.model, result(name).mask)
        assert pruner.counts_of(problem.model, pruned(name, 0.2, counts=counts)) == counts


@pytest.mark.parametrize("name", PRUNERS)
def test_a_mask_meets_its_own_sparsity_and_no_higher_one(name):
    problem, mask = conv_problem(), result(name).mask
    assert registry.find("pruners", name, sparsity=0.5).is_met(problem.model, mask)
    assert not registry.find("pruners", name, sparsity=0.7).is_met(problem.model, mask)


@pytest.mark.parametrize("name", PRUNERS)
def test_nothing_outside_an_earlier_mask_comes_back(name):
    first = result(name).mask
    second = pruned(name, 0.7, within=first)
    assert masks.count(second) < masks.count(first)
    assert not outside(second, first)


@pytest.mark.parametrize("name", PRUNERS)
def test_no_sparsity_no_pruning(name):
    assert masks.density(pruned(name, 0.0)) == 1
