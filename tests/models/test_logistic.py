from __future__ import annotations

import pytest
import torch

from lacunar.catalog.registry import parse
from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.models.logistic import Logistic
from lacunar.training.recipe import Recipe


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("logistic", 650),
        ("logistic:bias=false", 640),
        ("logistic:inputs=[1,4,4],classes=3", 51),
    ],
)
def test_has_the_known_number_of_weights(text, weights):
    assert named.count(named.parameters(parse("models", text)())) == weights


def test_it_is_linear_in_the_flattened_input():
    model = Recipe(Logistic((2, 3), classes=2, bias=False)).fresh(0)
    x, y = torch.randn(2, 5, 2, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(x + 2 * y), model(x) + 2 * model(y))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("logistic:inputs=[0]", "shape of one example"),
        ("logistic:inputs=[]", "shape of one example"),
        ("logistic:classes=0", "classes must be at least 1"),
        ("logistic:width=3", "unknown setting of logistic 'width'"),
    ],
)
def test_refuses_settings_that_cannot_be(text, complaint):
    with pytest.raises(BadInput, match=complaint):
        parse("models", text)
