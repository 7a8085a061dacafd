from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from lacunar.core import named
from lacunar.data.examples import Examples
from lacunar.training.architecture import Architecture
from lacunar.training.recipe import Recipe


@dataclass(frozen=True)
class TwoLayers(Architecture):
    """A third party's net."""

    inputs: tuple[int, ...] = (2,)
    classes: int = 2
    hidden: int = 3

    def build(self) -> nn.Module:
        width = int(torch.tensor(self.inputs).prod())
        return nn.Sequential(nn.Flatten(), nn.Linear(width, self.hidden), nn.Linear(self.hidden, self.classes))


@dataclass(frozen=True)
class Fixed(Architecture):
    """One whose sizes do not depend on the data."""

    hidden: int = 3

    def build(self) -> nn.Module:
        return nn.Linear(self.hidden, 1)


@pytest.mark.parametrize(
    ("x", "y", "inputs", "classes"),
    [
        (torch.zeros(4, 5), torch.tensor([0, 2, 2, 0]), (5,), 3),
        (torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4), (1, 8, 8), 4),
        (torch.zeros(4, 5), torch.rand(4), (5,), 1),
        ({"a": torch.zeros(4, 5)}, torch.arange(4) % 2, (), 2),
    ],
    ids=["vectors", "images", "regression", "dicts"],
)
def test_sizes_are_taken_from_the_data_and_other_settings_stay(x, y, inputs, classes):
    assert TwoLayers(hidden=7).shaped(Examples.of(x, y)) == TwoLayers(inputs, classes, 7)


def test_settings_that_an_architecture_does_not_have_are_not_given():
    assert Fixed(4).shaped(Examples.of(torch.zeros(2, 5), torch.arange(2))) == Fixed(4)


def test_an_architecture_is_what_a_recipe_builds_from():
    recipe = Recipe(TwoLayers())
    assert named.count(named.weights(recipe.fresh(0))) == 2 * 3 + 3 + 3 * 2 + 2
    assert recipe.settings()["build"] == {"name": "two_layers", "settings": TwoLayers().settings()}
    assert TwoLayers()() is not TwoLayers()()
