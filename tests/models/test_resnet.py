from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from lacunar.catalog.registry import parse
from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.models.resnet import STAGES, BasicBlock, Resnet


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("resnet:depth=8", 78_042),
        ("resnet:depth=20", 272_474),
        ("resnet:depth=18", 11_173_962),
    ],
)
def test_has_the_known_number_of_weights(text, weights):
    assert named.count(named.parameters(parse("models", text)())) == weights


@pytest.mark.parametrize("depth", STAGES)
def test_its_depth_counts_the_layers_with_weights_but_the_projections(depth):
    net = Resnet((1, 8, 8), depth=depth, width=1)()
    layers = [n for n, m in net.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear)) and "shortcut" not in n]
    assert len(layers) == depth


@pytest.mark.parametrize(("depth", "sizes"), [(18, [32, 16, 8, 4]), (20, [32, 16, 8])])
def test_the_first_stage_sees_the_full_image_and_each_further_one_half(depth, sizes):
    seen = []
    model = Resnet(depth=depth, width=1)()
    for s in range(1, len(sizes) + 1):
        block = getattr(model, f"stage{s}_block1")
        block.register_forward_hook(lambda module, given, out: seen.append(tuple(out.shape[1:])))
    model(torch.zeros(1, 3, 32, 32))
    assert seen == [(1 << s, side, side) for s, side in enumerate(sizes)]


def test_a_shortcut_projects_only_where_the_shape_changes():
    assert isinstance(BasicBlock(4, 4, 1).shortcut, nn.Identity)
    for block in (BasicBlock(4, 4, 2), BasicBlock(4, 8, 1)):
        assert block.shortcut.conv.kernel_size == (1, 1)
    block = BasicBlock(4, 4, 1).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(x), x.relu())


def test_building_leaves_the_settings_alone():
    architecture = Resnet(depth=18)
    assert dataclasses.replace(architecture, width=64)().conv.weight.shape == (64, 3, 3, 3)
    assert architecture.width is None and architecture().conv.weight.shape == (64, 3, 3, 3)
    assert Resnet(depth=8)().conv.weight.shape == (16, 3, 3, 3)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("resnet:depth=19", "no depth 19; choose from 8, 14, 18, 20"),
        ("resnet:inputs=[64]", "takes images .* use mlp or logistic"),
        ("resnet:width=0", "width must be at least 1"),
    ],
)
def test_refuses_settings_that_cannot_be(text, complaint):
    with pytest.raises(BadInput, match=complaint):
        parse("models", text)
