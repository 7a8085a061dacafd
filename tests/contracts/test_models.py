"""What every architecture must do on data of every form; none is known by name."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from typing import Any

import pytest
import torch

from lacunar.catalog import registry
from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.data.characters import example_of
from lacunar.data.examples import Examples
from lacunar.training.architecture import Architecture
from lacunar.training.recipe import Recipe
from tests.contracts import toy

NAMES = registry.names("models")
NARROW = {"width": 4, "depth": 8, "hidden": 8, "embedding": 4}
"""Sizes that make a net small, by the setting's name, where the architecture allows them."""


def _images(*shape: int) -> Examples:
    x = torch.randint(0, 256, (6, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return Examples.of(x, torch.arange(6) % 3)


def _texts() -> Examples:
    made = [example_of(f"hello number {i}", 12) for i in range(6)]
    return Examples.of(torch.stack([x for x, _ in made]), torch.stack([y for _, y in made]))


DATA = {
    "vectors": Examples.of(torch.randn(6, 5, generator=torch.Generator().manual_seed(1)), torch.arange(6) % 3),
    "digits": _images(1, 8, 8),
    "grey": _images(1, 28, 28),
    "colour": _images(3, 32, 32),
    "texts": _texts(),
}
GRID = [pytest.param(name, data, id=f"{name}-{data}") for name in NAMES for data in DATA]


def narrow(name: str) -> Architecture:
    """The architecture with those of the :data:`NARROW` sizes that it has and allows."""
    found = registry.find("models", name)
    for key in NARROW.keys() & {f.name for f in fields(found)}:
        try:
            found = replace(found, **{key: NARROW[key]})
        except BadInput:
            continue
    return found


@cache
def recipe_of(name: str, data: str) -> Recipe | str:
    """A recipe for a net that takes these data, or why there is none."""
    try:
        return Recipe(narrow(name).shaped(DATA[data]))
    except BadInput as why:
        return str(why)


def fresh(name: str, data: str, seed: int = 0) -> Any:
    recipe = recipe_of(name, data)
    if isinstance(recipe, str):
        pytest.skip(recipe)
    try:
        recipe.predict(recipe.fresh(seed), DATA[data])
    except (RuntimeError, ValueError) as why:
        pytest.skip(f"the net takes other inputs: {why}")
    return recipe.fresh(seed)


@pytest.mark.parametrize("name", NAMES)
def test_documented_and_settings_round_trip_through_json(name):
    toy.documented("models", name, Architecture)
    assert toy.read_back("models", narrow(name)) == narrow(name)


@pytest.mark.parametrize("name", NAMES)
def test_some_data_fit_and_others_are_refused_in_a_sentence(name):
    found = [recipe_of(name, data) for data in DATA]
    assert any(isinstance(r, Recipe) for r in found)
    assert all(isinstance(r, Recipe) or len(r.split()) > 4 for r in found)


@pytest.mark.parametrize(("name", "data"), GRID)
def test_logits_fit_the_loss_and_gradients_are_everywhere(name, data):
    model, examples = fresh(name, data), DATA[data]
    recipe = recipe_of(name, data)
    z = model(recipe.prepare(examples.x))
    losses = recipe.losses(z, examples.y)
    assert losses.shape == (6,) and bool(torch.isfinite(losses).all())
    # A ReLU may be off for all of six examples, a whole tensor of weights may not.
    assert all(bool(g.abs().sum() > 0) for g in named.gradient(losses.sum(), model).values())


@pytest.mark.parametrize(("name", "data"), GRID)
def test_the_seed_decides_the_weights_and_nothing_else_is_touched(name, data):
    before = toy.surroundings()
    one, same, other = (named.digest(named.weights(fresh(name, data, seed))) for seed in (0, 0, 1))
    assert one == same != other
    assert toy.surroundings() == before


@pytest.mark.parametrize("name", NAMES)
def test_every_size_must_be_at_least_one(name):
    sizes = [f.name for f in fields(narrow(name)) if type(getattr(narrow(name), f.name)) is int]
    assert sizes
    for size in sizes:
        with pytest.raises(BadInput, match=f"{size} must be at least 1|has no {size} 0"):
            replace(narrow(name), **{size: 0})
