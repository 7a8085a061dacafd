from __future__ import annotations

import pytest
import torch
from torch import nn

from lacunar.catalog.registry import parse
from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.models.small_cnn import SmallCnn
from lacunar.training.recipe import Recipe


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("small_cnn:inputs=[3,32,32]", 24_346),
    ],
)
def test_has_the_known_number_of_weights(text, weights):
    assert named.count(named.parameters(parse("models", text)())) == weights


def test_channels_double_and_the_image_halves_between_blocks():
    sizes = []
    model = SmallCnn((1, 8, 8), width=2, depth=3)()
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            m.register_forward_hook(lambda module, given, out: sizes.append(tuple(out.shape[1:])))
    model(torch.zeros(1, 1, 8, 8))
    assert sizes == [(2, 8, 8), (4, 4, 4), (8, 2, 2)]


@pytest.mark.parametrize("batchnorm", [False, True])
def test_without_batchnorm_an_output_depends_on_its_own_input_only(batchnorm):
    model = Recipe(SmallCnn((1, 8, 8), batchnorm=batchnorm)).fresh(0)
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(model(x)[:2], model(x[:2]), atol=1e-5) is not batchnorm
    assert all((m.bias is None) is batchnorm for m in model.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("small_cnn:inputs=[1,8,8],depth=5", "at least 16 pixels, .* lower depth"),
        ("small_cnn:classes=0", "classes must be at least 1"),
        ("small_cnn:depth=0", "depth must be at least 1"),
        ("small_cnn:inputs=[64]", "takes images"),
    ],
)
def test_refuses_settings_that_cannot_be(text, complaint):
    with pytest.raises(BadInput, match=complaint):
        parse("models", text)
