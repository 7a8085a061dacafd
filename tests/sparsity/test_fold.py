"""Constant channels move into what reads them, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.models.resnet import Resnet
from lacunar.models.small_cnn import SmallCnn
from lacunar.pruners.channel import Channel
from lacunar.sparsity.channels import channels_of
from lacunar.sparsity.compact import compact

X = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Chain(nn.Module):
    """Three convolutions with BatchNorm and a flattened head; GELU turns every constant into a number that counts."""

    def __init__(self, padding: int | str = 0, bias: bool = True, normed: bool = True, act: type = nn.GELU) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=padding, bias=bias)
        self.bn2 = nn.BatchNorm2d(8) if normed else nn.Identity()
        self.act, self.head = act(), nn.Linear(8 * 4 * 4 if padding in (0, "valid") else 8 * 6 * 6, 4)

    def forward(self, x):
        x = self.act(self.bn1(self.conv1(x)))
        return self.head(self.act(self.bn2(self.conv2(x))).flatten(1))


def without_filters(model: nn.Module, **rows: list[int]) -> masks.Mask:
    """Random weights and statistics, and a mask that empties some filters but leaves what is behind them alive."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0)
            elif value.is_floating_point():
                value.add_(0.3 * torch.randn(value.shape))
    model.double().eval()
    mask = masks.full(named.weights(model), True)
    for layer, filters in rows.items():
        mask[f"{layer}.weight"][filters] = False
    named.write(model, masks.keep(named.weights(model), mask))
    return mask


@torch.no_grad()
def gap(a: nn.Module, b: nn.Module, x: torch.Tensor = X) -> float:
    one, two = a.eval()(x), b.eval()(x)
    return float((one - two).abs().max() / one.abs().max())


@pytest.mark.parametrize(
    "how",
    [{}, {"bias": False}, {"padding": "valid"}, {"normed": False}, {"bias": False, "act": nn.Tanh}],
    ids=str,
)
def test_constants_go_into_the_next_bias_or_running_mean(how):
    model = Chain(**how)
    mask = without_filters(model, conv1=[0, 3], conv2=[1, 2, 6])
    before = named.digest(model.state_dict())
    found = compact(model, mask, X, fold=True)
    assert named.digest(model.state_dict()) == before and not model.conv1._forward_hooks
    assert [c.kept for c in found.cuts] == [(1, 2, 4, 5), (0, 3, 4, 5, 7)]
    fresh = torch.randn(9, 3, 8, 8, dtype=torch.float64)
    assert gap(model, found.model, fresh) < 1e-12
    where = "conv2.bias" if how.get("bias", True) else "bn2.running_mean"
    moved = found.model.state_dict()[where] - model.state_dict()[where][[0, 3, 4, 5, 7]]
    assert float(moved.abs().min()) > 1e-3, "the constants were not zero"


def test_without_folding_constant_channels_stay():
    model = Chain()
    mask = without_filters(model, conv1=[0, 3])
    with pytest.raises(NotApplicable, match="no channel is dead"):
        compact(model, mask, X)


def test_zero_padding_keeps_all_constants_but_zeros():
    model = Chain(padding=1, act=nn.ReLU)
    mask = without_filters(model, conv1=[0, 1, 2, 3, 4])
    with torch.no_grad():
        constant = torch.relu(model.bn1(model.conv1(X)))[0, :5, 0, 0]
    assert bool((constant > 0).any()) and bool((constant == 0).any())
    found = compact(model, mask, X, fold=True)
    (cut,) = found.cuts
    assert set(range(6)) - set(cut.kept) == set((constant == 0).nonzero().reshape(-1).tolist())
    assert gap(model, found.model) < 1e-12


def test_other_paddings_are_no_border():
    model = Chain(padding=1)
    model.conv2.padding_mode = "circular"
    mask = without_filters(model, conv1=[0, 3])
    found = compact(model, mask, X, fold=True)
    assert found.cuts[0].kept == (1, 2, 4, 5) and gap(model, found.model) < 1e-12


def test_a_layer_without_bias_or_batchnorm_has_no_place_for_a_constant():
    model = Chain(bias=False, normed=False)
    mask = without_filters(model, conv1=[0, 3])
    with pytest.raises(NotApplicable, match="no channel is dead"):
        compact(model, mask, X, fold=True)


def test_a_masked_bias_stays_zero():
    model = Chain(normed=False)
    mask = without_filters(model, conv1=[0, 3])
    mask["conv2.bias"][2] = False
    named.write(model, masks.keep(named.weights(model), mask))
    with pytest.raises(NotApplicable, match="no channel is dead"):
        compact(model, mask, X, fold=True)
    mask["conv2.weight"][2, [0, 3]] = False
    named.write(model, masks.keep(named.weights(model), mask))
    found = compact(model, mask, X, fold=True)
    assert gap(model, found.model) < 1e-12 and not found.model.conv2.bias[2]


def test_silent_channels_go_as_well_and_the_rest_of_the_mask_is_kept():
    model = SmallCnn((3, 8, 8), width=6, depth=2)()
    torch.manual_seed(0)
    with torch.no_grad():
        model.bn2.bias.add_(torch.rand(12))
    silent = Channel(0.5, scope=("conv1.weight",)).mask(model, None, generator_of(0))
    silent["conv2.weight"][[1, 5]] = False
    silent["conv2.weight"][0, int(silent["bn1.weight"].nonzero()[0]), 0, 0] = False
    named.write(model, masks.keep(named.weights(model), silent))
    model.double()
    found = compact(model, silent, X, fold=True)
    assert found.model.conv1.out_channels == 3 and found.model.conv2.out_channels == 10
    assert gap(model, found.model) < 1e-12
    assert all(bool((w[~found.mask[name]] == 0).all()) for name, w in named.weights(found.model).items())


def test_constants_that_are_added_up_along_a_residual_path():
    model = Resnet((3, 8, 8), depth=8, width=4)()
    makers = next(c for c in channels_of(model) if c.readers[0].name == "head.weight").makers
    mask = without_filters(model)
    filters = [part.name for part in makers if mask[part.name].ndim > 1]
    assert len(filters) > 1
    for name in filters:
        mask[name][[2, 7]] = False
    named.write(model, masks.keep(named.weights(model), mask))
    found = compact(model, mask, X, fold=True)
    assert found.model.head.in_features == 14
    assert gap(model, found.model) < 1e-12


class Positions(nn.Module):
    """Linear layers that see the last of two or three dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.act, self.two = nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3)

    def forward(self, x):
        return self.two(self.act(self.one(x)))


@pytest.mark.parametrize("shape", [(12,), (5, 12)])
def test_linear_layers(shape):
    model = Positions()
    mask = without_filters(model, one=[0, 5])
    x = torch.randn(7, *shape, dtype=torch.float64)
    found = compact(model, mask, x, fold=True)
    assert [c.kept for c in found.cuts] == [(1, 2, 3, 4, 6, 7)]
    assert gap(model, found.model, x) < 1e-12


def test_folding_needs_an_example():
    model = Chain()
    with pytest.raises(BadInput, match="no example is given"):
        compact(model, without_filters(model, conv1=[0]), fold=True)
