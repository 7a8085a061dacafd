"""Structured pruning by channels."""

from __future__ import annotations

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.models.resnet import Resnet
from lacunar.models.small_cnn import SmallCnn
from lacunar.pruners.channel import Channel, live_channels, strength
from lacunar.sparsity.channels import channels_of
from tests.problems import BatchNormNet


def net(architecture=None):
    torch.manual_seed(0)
    model = (architecture or SmallCnn((1, 8, 8), width=6, depth=3))()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape))
    return model


@pytest.mark.parametrize(("sparsity", "gone"), [(0.0, [0, 0, 0]), (0.5, [3, 6, 12]), (0.29, [1, 3, 6])])
def test_drops_the_floor_of_the_share_per_layer(sparsity, gone):
    model = net()
    mask = Channel(sparsity).mask(model, None, generator_of(0))
    dead = [int((~live_channels(c, mask)).sum()) for c in channels_of(model)]
    assert dead == gone


def test_a_whole_number_of_channels_is_not_lost_to_rounding():
    model = SmallCnn((1, 8, 8), width=100, depth=1)()
    mask = Channel(0.29).mask(model, None, generator_of(0))
    assert int(mask["conv1.weight"].flatten(1).any(1).sum()) == 71


def test_mask_is_constant_over_what_makes_a_channel_and_takes_the_weakest():
    model = net()
    mask = Channel(0.5).mask(model, None, generator_of(0))
    for i, width in ((1, 6), (2, 12), (3, 24)):
        conv = mask[f"conv{i}.weight"].flatten(1)
        assert torch.equal(conv.any(1), conv.all(1))
        live = conv.any(1)
        assert torch.equal(mask[f"bn{i}.weight"], live) and torch.equal(mask[f"bn{i}.bias"], live)
        weight, bn = getattr(model, f"conv{i}").weight, getattr(model, f"bn{i}")
        score = torch.stack([
            torch.cat([weight[c].flatten(), bn.weight[c, None], bn.bias[c, None]]).square().mean() for c in range(width)
        ]).detach()  # fmt: skip
        assert float(score[~live].max()) <= float(score[live].min())
    assert bool(mask["head.weight"].all())


def test_global_level_ranks_all_channels_by_mean_square():
    model = net()
    weights = named.weights(model)
    mask = Channel(0.4, level="global").mask(model, None, generator_of(0))
    groups = channels_of(model)
    live = torch.cat([live_channels(c, mask) for c in groups])
    scores = torch.cat([strength(c, weights) for c in groups])
    assert int((~live).sum()) == int(0.4 * 42)
    assert float(scores[~live].max()) <= float(scores[live].min())


def test_residual_channels_are_left_alone_or_tied():
    model = net(Resnet((1, 8, 8), depth=8, width=4))
    alone = Channel(0.5).mask(model, None, generator_of(0))
    assert bool(alone["conv.weight"].all()) and not bool(alone["stage1_block1.conv1.weight"].all())
    tied = Channel(0.5, residual="tie").mask(model, None, generator_of(0))
    stem = tied["bn.weight"]
    assert int(stem.sum()) == 2
    assert torch.equal(stem, tied["stage1_block1.bn2.weight"])
    assert torch.equal(stem, tied["stage1_block1.conv2.weight"].flatten(1).any(1))


def test_scope_may_name_layers():
    model = net()
    mask = Channel(0.5, scope=("conv2.weight",)).mask(model, None, generator_of(0))
    assert [n for n, m in mask.items() if not bool(m.all())] == ["conv2.weight", "bn2.weight", "bn2.bias"]


def test_a_dead_channel_stays_dead_when_another_model_is_pruned():
    model = net()
    first = Channel(0.5).mask(model, None, generator_of(0))
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.conv1.weight[~first["bn1.weight"]] = 100.0
    second = Channel(0.6).mask(other, None, generator_of(0), within=first)
    assert not bool((second["bn1.weight"] & ~first["bn1.weight"]).any())


def test_what_it_cannot_do():
    with pytest.raises(NotApplicable, match='residual="tie" prunes them jointly'):
        Channel().mask(BatchNormNet(), None, generator_of(0))
    with pytest.raises(NotApplicable, match="no channel of Linear"):
        Channel(scope="conv+linear").mask(torch.nn.Linear(3, 2), None, generator_of(0))
    with pytest.raises(BadInput, match=r"cannot keep 7 of conv1\.weight: 6 are live"):
        Channel().mask(net(), None, generator_of(0), {"conv1.weight": 7, "conv2.weight": 2, "conv3.weight": 2})
    with pytest.raises(BadInput, match=r"nothing of conv1\.weight is left"):
        Channel(allow_empty=False).mask(
            net(), None, generator_of(0), {"conv1.weight": 0, "conv2.weight": 2, "conv3.weight": 2}
        )


class Branching(nn.Sequential):
    """A net that torch.fx cannot trace: its forward pass looks at values."""

    def forward(self, x):
        return super().forward(x) if x.sum() < 1e9 else x


def test_a_net_that_must_be_run_is_counted_on_an_example(monkeypatch):
    plain = net()
    model, x = Branching(OrderedDict(plain.named_children())), torch.ones(2, 1, 8, 8)
    given = []

    def run(model, example):
        given.append(example)
        return channels_of(plain)

    monkeypatch.setattr("lacunar.sparsity.channels.dependent_channels", run)
    pruner, mask = Channel(0.5), Channel(0.5).mask(plain, None, generator_of(0))
    assert pruner.counts(model, x) == pruner.counts(plain)
    assert pruner.counts_of(model, mask, x) == pruner.counts(plain)
    assert pruner.is_met(model, mask, x) and not pruner.is_met(model, masks.full(mask, True), x)
    assert len(given) == 6 and all(example is x for example in given)
    with pytest.raises(NotApplicable, match=r"torch\.fx cannot trace its forward pass"):
        pruner.counts(model)
