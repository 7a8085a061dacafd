"""Every architecture on every image size; known weight counts; settings that cannot be."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from lacunar.catalog.registry import find, from_spec, names, parse
from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe

SMALL = {"resnet": {"depth": 8, "width": 4}, "vgg16_bn": {"width": 4}, "small_cnn": {"width": 4}}
TEXT = {"char_lstm"}
IMAGE = [name for name in names("models") if name not in TEXT]
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", IMAGE)
def test_builds_a_net_with_gradients_everywhere(name, shape):
    architecture = find("models", name, inputs=shape, classes=7, **SMALL.get(name, {}))
    model = Recipe(architecture).fresh(0)
    z = model(torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)))
    assert z.shape == (3, 7)
    gradient = named.gradient(z.square().sum(), model)
    assert all(bool(g.abs().sum() > 0) for g in gradient.values())
    assert from_spec("models", architecture.spec()) == architecture


@pytest.mark.parametrize("name", IMAGE)
def test_the_seed_decides_the_weights(name):
    recipe = Recipe(find("models", name, inputs=(1, 8, 8), **SMALL.get(name, {})))
    one, same, other = (named.digest(named.weights(recipe.fresh(seed))) for seed in (0, 0, 1))
    assert one == same != other


@pytest.mark.parametrize("name", IMAGE)
def test_takes_its_shape_from_the_data(name):
    examples = Examples.of(torch.zeros(6, 1, 8, 8, dtype=torch.uint8), torch.arange(6) % 3)
    shaped = find("models", name, **SMALL.get(name, {})).shaped(examples)
    assert (shaped.inputs, shaped.classes) == ((1, 8, 8), 3)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("logistic", 650),
        ("logistic:bias=false", 640),
        ("mlp", 64 * 128 + 128 + 1290),
        ("mlp:depth=2,hidden=10", 650 + 110 + 110),
        ("small_cnn:inputs=[3,32,32]", 24_346),
        ("resnet:depth=8", 78_042),
        ("resnet:depth=20", 272_474),
        ("resnet:depth=18", 11_173_962),
        ("vgg16_bn", 14_724_042),
    ],
)
def test_has_the_known_number_of_weights(text, weights):
    assert named.count(named.parameters(parse("models", text)())) == weights


def test_depth_18_sees_the_full_image_in_its_first_stage():
    sizes = []
    model = find("models", "resnet", depth=18, width=2)()
    model.stage1_block1.register_forward_hook(lambda module, given, out: sizes.append(out.shape[2:]))
    model(torch.zeros(1, 3, 32, 32))
    assert sizes == [(32, 32)]


def test_convolutions_start_kaiming_normal_by_fan_out():
    weight = Recipe(find("models", "resnet", depth=20)).fresh(0).stage3_block2.conv1.weight.detach()
    assert float(weight.std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert abs(float(weight.mean())) < 1e-3


def test_without_batchnorm_an_output_depends_on_its_own_input_only():
    model = Recipe(find("models", "small_cnn", inputs=(1, 8, 8), batchnorm=False)).fresh(0)
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(x)[:2], model(x[:2]))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("resnet:depth=19", "no depth 19; choose from 8, 14, 18, 20"),
        ("resnet:inputs=[64]", "takes images .* use mlp or logistic"),
        ("resnet:width=0", "width must be at least 1"),
        ("vgg16_bn:inputs=[32,32]", "takes images"),
        ("small_cnn:inputs=[1,8,8],depth=5", "at least 16 pixels, .* lower depth"),
        ("small_cnn:classes=0", "classes must be at least 1"),
        ("mlp:depth=0", "depth must be at least 1"),
        ("mlp:hidden=0", "hidden must be at least 1"),
        ("mlp:inputs=[]", "shape of one example"),
        ("logistic:inputs=[0]", "shape of one example"),
        ("mlp:width=3", "unknown setting of mlp 'width'"),
    ],
)
def test_refuses_settings_that_cannot_be(text, complaint):
    with pytest.raises(BadInput, match=complaint):
        parse("models", text)


def test_building_leaves_the_settings_alone():
    architecture = find("models", "resnet", depth=18)
    assert dataclasses.replace(architecture, width=64)().conv.weight.shape == (64, 3, 3, 3)
    assert architecture.width is None
