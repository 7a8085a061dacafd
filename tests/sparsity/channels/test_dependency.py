from __future__ import annotations

import sys
import types

import pytest
import torch
from torch import nn

from lacunar.core.errors import NotApplicable
from lacunar.models.resnet import Resnet
from lacunar.models.small_cnn import SmallCnn
from lacunar.sparsity.channels import channels_of
from lacunar.sparsity.channels.dependency import dependent_channels


class Branching(nn.Module):
    """A net whose flow depends on data, so that it must be run to be followed."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x) if x.sum() < 1e9 else x


def two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def test_without_the_extra_such_a_net_is_refused(monkeypatch):
    model = Branching(two_layers())
    with pytest.raises(NotApplicable, match=r"with an example and the extra lacunar\[prune\]"):
        channels_of(model)
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(NotApplicable, match=r'cannot trace Branching, .* pip install "lacunar\[prune\]"'):
        channels_of(model, torch.ones(2, 3))


def prune_in_channels() -> None:
    """Stands for the library's handler of that name."""


def prune_out_channels() -> None:
    """Stands for the library's handler of that name."""


def fake_library(groups):
    """What of torch-pruning is asked: groups of (path, handler, indices) of the copy that it is given."""

    class DependencyGraph:
        def build_dependency(self, model, example):
            self.model = model
            return self

        def get_all_groups(self):
            for group in groups:
                yield [
                    types.SimpleNamespace(
                        idxs=list(idxs),
                        dep=types.SimpleNamespace(
                            target=types.SimpleNamespace(
                                module=self.model.get_submodule(path) if path else nn.Identity()
                            ),
                            handler=handler,
                        ),
                    )
                    for path, handler, idxs in group
                ]

    return types.SimpleNamespace(DependencyGraph=DependencyGraph)


OUT, IN = prune_out_channels, prune_in_channels
GROUP = [("net.0", OUT, range(4)), ("", OUT, range(4)), ("net.1", OUT, range(4)), ("net.3", IN, range(4))]


def test_a_group_becomes_channels_with_makers_buffers_and_readers(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_pruning", fake_library([GROUP]))
    (found,) = channels_of(Branching(two_layers()), torch.ones(2, 3))
    assert (found.name, found.size, found.tied) == ("net.0.weight", 4, False)
    assert [p.name for p in found.makers] == ["net.0.weight", "net.0.bias", "net.1.weight", "net.1.bias"]
    assert [p.name for p in found.buffers] == ["net.1.running_mean", "net.1.running_var"]
    assert [(p.name, p.dim, p.repeat) for p in found.readers] == [("net.3.weight", 1, 1)]


def test_two_layers_that_make_the_same_channels_are_tied(monkeypatch):
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 2))
    group = [("0", OUT, range(4)), ("1", OUT, range(4)), ("2", IN, range(4))]
    monkeypatch.setitem(sys.modules, "torch_pruning", fake_library([group]))
    (found,) = dependent_channels(net, torch.ones(2, 3))
    assert found.tied and len(found.makers) == 4


@pytest.mark.parametrize(
    "group",
    [
        [("net.0", OUT, range(4))],
        [("net.0", OUT, range(4)), ("net.3", IN, [0, 1, 3, 2])],
        [("net.0", OUT, range(4)), ("net.3", IN, range(6))],
        [("net.0", OUT, range(4)), ("net.2", OUT, range(4)), ("net.3", IN, range(4))],
    ],
    ids=["nobody reads", "another order", "unequal", "no layer"],
)
def test_a_group_that_cannot_be_cut_is_left_alone(monkeypatch, group):
    monkeypatch.setitem(sys.modules, "torch_pruning", fake_library([group]))
    assert dependent_channels(Branching(two_layers()), torch.ones(2, 3)) == []


def test_frozen_weights_and_grouped_convolutions_are_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_pruning", fake_library([GROUP]))
    model = Branching(two_layers())
    model.net[0].weight.requires_grad_(False)
    assert dependent_channels(model, torch.ones(2, 3)) == []
    grouped = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1, groups=4), nn.Conv2d(4, 1, 1))
    group = [("0", OUT, range(4)), ("1", OUT, range(4)), ("2", IN, range(4))]
    monkeypatch.setitem(sys.modules, "torch_pruning", fake_library([group]))
    assert dependent_channels(grouped, torch.ones(1, 1, 2, 2)) == []


@pytest.mark.parametrize(
    "build", [SmallCnn((1, 8, 8), width=4), Resnet((1, 8, 8), depth=8, width=4)], ids=["plain", "residual"]
)
def test_with_the_extra_the_channels_are_those_of_tracing(build):
    pytest.importorskip("torch_pruning", reason="the prune extra is not installed")
    model = build()
    ran = channels_of(Branching(model), torch.ones(2, 1, 8, 8))
    assert made_by(ran) == {frozenset(f"net.{name}" for name in makers) for makers in made_by(channels_of(model))}


def made_by(channels):
    return {frozenset(part.name for part in c.makers) for c in channels}
