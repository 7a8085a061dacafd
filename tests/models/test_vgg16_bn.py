from __future__ import annotations

import pytest
import torch
from torch import nn

from lacunar.catalog.registry import parse
from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.models.vgg16_bn import Vgg16Bn


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("vgg16_bn", 14_724_042),
    ],
)
def test_has_the_known_number_of_weights(text, weights):
    assert named.count(named.parameters(parse("models", text)())) == weights


def test_thirteen_convolutions_and_a_head_without_a_bias_that_batchnorm_would_cancel():
    convolutions = [m for m in Vgg16Bn(width=1)().modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [1, 1, 2, 2, *[4] * 3, *[8] * 6]
    assert all(m.bias is None for m in convolutions)


@pytest.mark.parametrize("side", [8, 32, 33])
def test_any_size_of_image_is_pooled_to_one_vector(side):
    model = Vgg16Bn((1, side, side), classes=3, width=1)().eval()
    assert model(torch.zeros(2, 1, side, side)).shape == (2, 3)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("vgg16_bn:inputs=[32,32]", "takes images"),
        ("vgg16_bn:width=0", "width must be at least 1"),
    ],
)
def test_refuses_settings_that_cannot_be(text, complaint):
    with pytest.raises(BadInput, match=complaint):
        parse("models", text)
