from __future__ import annotations

import pytest
import torch
from torch import nn

from lacunar.catalog.registry import parse
from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.models.mlp import Mlp


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("mlp", 64 * 128 + 128 + 1290),
        ("mlp:depth=2,hidden=10", 650 + 110 + 110),
        ("mlp:inputs=[1,4,4],hidden=2,classes=3", 34 + 9),
    ],
)
def test_has_the_known_number_of_weights(text, weights):
    assert named.count(named.parameters(parse("models", text)())) == weights


@pytest.mark.parametrize("depth", [1, 3])
def test_there_are_as_many_hidden_layers_as_asked_for(depth):
    kinds = [type(m) for m in Mlp(depth=depth)()]
    assert kinds == [nn.Flatten, *[nn.Linear, nn.ReLU] * depth, nn.Linear]
    assert Mlp((2, 3), depth=depth)()(torch.zeros(4, 2, 3)).shape == (4, 10)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("mlp:depth=0", "depth must be at least 1"),
        ("mlp:hidden=0", "hidden must be at least 1"),
        ("mlp:inputs=[]", "shape of one example"),
        ("mlp:width=3", "unknown setting of mlp 'width'"),
    ],
)
def test_refuses_settings_that_cannot_be(text, complaint):
    with pytest.raises(BadInput, match=complaint):
        parse("models", text)
