"""Following channels through a net."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lacunar.core.errors import NotApplicable
from lacunar.models.mlp import Mlp
from lacunar.models.resnet import Resnet
from lacunar.models.small_cnn import SmallCnn
from lacunar.models.vgg16_bn import Vgg16Bn
from lacunar.sparsity.channels import Channels, channels_of


def by_name(model: nn.Module) -> dict[str, Channels]:
    return {c.name: c for c in channels_of(model)}


def names(parts) -> list[str]:
    return [part.name for part in parts]


def test_conv_batchnorm_conv_linear():
    found = by_name(SmallCnn((1, 8, 8), width=4, depth=2)())
    assert list(found) == ["conv1.weight", "conv2.weight"]
    first = found["conv1.weight"]
    assert names(first.makers) == ["conv1.weight", "bn1.weight", "bn1.bias"]
    assert names(first.buffers) == ["bn1.running_mean", "bn1.running_var"]
    assert [(p.name, p.dim, p.repeat) for p in first.readers] == [("conv2.weight", 1, 1)]
    assert [(p.name, p.dim, p.repeat) for p in found["conv2.weight"].readers] == [("head.weight", 1, 1)]


def test_linear_layers_and_the_output_is_never_pruned():
    assert list(by_name(Mlp(depth=2)())) == ["hidden1.weight", "hidden2.weight"]
    assert len(by_name(Vgg16Bn(width=2)())) == 13


def test_channels_added_up_are_tied():
    found = by_name(Resnet((1, 8, 8), depth=14, width=2)())
    stem = found["conv.weight"]
    assert stem.tied
    convs = [n for n in names(stem.makers) if "conv" in n]
    assert convs == ["conv.weight", "stage1_block1.conv2.weight", "stage1_block2.conv2.weight"]
    assert "stage2_block1.shortcut.conv.weight" in names(stem.readers)
    inner = [c for c in found.values() if not c.tied]
    assert [c.name.endswith("conv1.weight") for c in inner] == [True] * 6


class Functional(nn.Module):
    """Flattens a 3x3 map functionally, so that each channel is nine features of the head."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
        self.depthwise = nn.Conv2d(4, 4, 1, groups=4)
        self.head = nn.Linear(4 if how == "mean" else 36, 3)
        self.how = how

    def forward(self, x):
        x = F.relu(self.bn(self.conv(x)))
        x = torch.tanh(self.depthwise(x))
        if self.how == "mean":
            x = x.mean((2, 3))
        elif self.how == "flatten":
            x = torch.flatten(x, 1)
        elif self.how == "view":
            x = x.view(x.size(0), -1)
        elif self.how == "keepdim":
            x = x.mean((2, 3), True).flatten(1)
        return self.head(x)


@pytest.mark.parametrize(("how", "repeat"), [("mean", 1), ("flatten", 9), ("view", 9)])
def test_functional_forms(how, repeat):
    (channels,) = channels_of(Functional(how))
    wanted = ["conv.weight", "conv.bias", "bn.weight", "bn.bias", "depthwise.weight", "depthwise.bias"]
    assert names(channels.makers) == wanted
    assert [(p.name, p.repeat) for p in channels.readers] == [("head.weight", repeat)]


def test_a_mean_with_a_form_not_known_is_left_alone():
    assert channels_of(Functional("keepdim")) == []


class Odd(nn.Module):
    """One way to make channels unprunable."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.second = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1)
        self.third = nn.Conv2d(4, 2, 1)
        if how == "frozen":
            self.first.weight.requires_grad_(False)
        if how == "shared":
            self.third = nn.Conv2d(4, 4, 1)
            self.third.weight = self.first_shared = self.second.weight
        if how == "plain norm":
            self.norm = nn.BatchNorm2d(4, affine=False)

    def forward(self, x):
        x = self.first(x)
        if self.how == "sigmoid":
            x = torch.sigmoid(x)
        if self.how == "plus one":
            x = x + 1
        if self.how == "plain norm":
            x = self.norm(x)
        if self.how == "called twice":
            x = self.second(self.second(x))
        if self.how == "functional weight":
            x = x * self.first.weight.sum()
        if self.how == "shared":
            x = self.second(x)
        return self.third(x)


@pytest.mark.parametrize(
    "how", ["sigmoid", "plus one", "plain norm", "called twice", "functional weight", "frozen", "shared"]
)
def test_what_would_not_stay_zero_or_cannot_be_cut_is_left_alone(how):
    assert channels_of(Odd(how)) == []


def test_the_odd_net_itself_is_prunable():
    assert list(by_name(Odd("nothing"))) == ["first.weight"]


def test_features_of_sequences_and_interleaved_flattening():
    assert list(by_name(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))) == ["0.weight"]
    assert channels_of(nn.Sequential(nn.Linear(3, 4), nn.Flatten(), nn.Linear(8, 2))) == []


def test_a_net_with_data_dependent_flow_is_named():
    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(NotApplicable, match=r"Branching cannot be followed: torch\.fx cannot trace"):
        channels_of(Branching())
