from __future__ import annotations

import torch

from lacunar.core import named
from lacunar.importance.magnitude import Magnitude
from tests.importance.toy import assert_same, world


def test_it_is_the_absolute_weight():
    here = world()
    assert_same(here.scores(Magnitude()), {n: w.abs() for n, w in named.weights(here.model).items()}, 0)


def test_it_needs_no_data():
    here = world()
    alone = Magnitude().scores(here.model, None, here.recipe, torch.Generator())
    assert_same(alone, here.scores(Magnitude()), 0)
