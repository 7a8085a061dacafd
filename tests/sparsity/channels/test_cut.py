from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.rng import isolated
from lacunar.models.resnet import Resnet
from lacunar.models.small_cnn import SmallCnn
from lacunar.sparsity.channels.channel import Part
from lacunar.sparsity.channels.cut import Cut, SmallerBuild, cut, cuts_of, record_of, sizes_of, sliced

BUILD = SmallCnn((3, 8, 8), width=4, depth=2)
CUTS = (
    Cut(
        "conv1.weight",
        4,
        (0, 3),
        (
            *(Part(f"bn1.{n}") for n in ("weight", "bias", "running_mean", "running_var")),
            Part("conv1.weight"),
            Part("conv2.weight", 1),
        ),
    ),
)


def test_the_kept_channels_are_left_in_their_order_and_the_net_is_not_touched():
    model = BUILD()
    before = named.digest(model.state_dict())
    smaller = cut(model, CUTS)
    assert torch.equal(smaller.conv1.weight, model.conv1.weight[[0, 3]])
    assert torch.equal(smaller.conv2.weight, model.conv2.weight[:, [0, 3]])
    assert torch.equal(smaller.bn1.running_var, model.bn1.running_var[[0, 3]])
    assert torch.equal(smaller.head.weight, model.head.weight)
    assert named.digest(model.state_dict()) == before


def test_layers_say_their_new_sizes_and_keep_what_may_be_trained():
    model = BUILD()
    model.conv1.weight.requires_grad_(False)
    smaller = cut(model, CUTS)
    assert (smaller.conv1.out_channels, smaller.conv2.in_channels, smaller.bn1.num_features) == (2, 2, 2)
    assert not smaller.conv1.weight.requires_grad and smaller.conv2.weight.requires_grad
    assert smaller(torch.zeros(2, 3, 8, 8)).shape == (2, 10)


def test_depthwise_and_flattened_channels_are_cut_in_step():
    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 3, 1, groups=3), nn.Flatten(), nn.Linear(12, 2))
    one = Cut(
        "0.weight",
        3,
        (2,),
        (Part("0.weight"), Part("0.bias"), Part("1.weight"), Part("1.bias"), Part("3.weight", 1, 4)),
    )
    smaller = cut(net, [one])
    assert (smaller[1].groups, smaller[1].in_channels, smaller[3].in_features) == (1, 1, 4)
    assert torch.equal(smaller[3].weight, net[3].weight[:, 8:])


def test_values_by_name_are_cut_too_and_others_are_left():
    values = {"conv1.weight": torch.arange(4), "other": torch.arange(3)}
    found = sliced(values, CUTS)
    assert found["conv1.weight"].tolist() == [0, 3] and found["other"] is values["other"]


def test_a_smaller_build_starts_as_the_whole_net_does():
    with isolated(0, "init"):
        whole = BUILD()
    with isolated(0, "init"):
        smaller = SmallerBuild(BUILD, CUTS)()
    assert torch.equal(smaller.conv2.weight, whole.conv2.weight[:, [0, 3]])


def test_cuts_come_back_from_their_record():
    saved = json.loads(json.dumps(record_of(CUTS)))
    assert cuts_of(saved) == CUTS
    assert sizes_of(saved | {"parameters": [9, 4]}) == ((9, 4), None)
    assert sizes_of(saved | {"parameters": [9, 4], "multiply_adds": [8, 2]}) == ((9, 4), (8, 2))
    with pytest.raises(BadInput, match="does not say how many parameters"):
        sizes_of(saved)


def record(parts=({"name": "conv1.weight"},), **change):
    one = {"name": "conv1.weight", "size": 4, "kept": [0, 2], "parts": list(parts)} | change
    return {"format": "lacunar-compact-1", "cuts": [one]}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "its format is None"),
        ([], "its format is None"),
        ({"format": "lacunar-compact-1"}, "is damaged at cuts: Field required"),
        ({"format": "lacunar-compact-1", "cuts": [{"name": 3}]}, r"is damaged at cuts\.0\.name"),
        (record(kept=[0, 50]), r"is damaged at cuts\.0: .* not ascending indices below 4: 0, 50"),
        (record(kept=[-1, 2]), "not ascending"),
        (record(kept=[2, 2]), "not ascending"),
        (record(kept=[]), "not ascending"),
        (record([{"name": "conv1.weight", "dim": -1}]), r"conv1\.weight has no dimension -1"),
        (record([{"name": "conv1.weight", "repeat": 0}]), "with 0 places"),
        (record([{"name": "conv1.weight"}] * 2), r"conv1\.weight would be cut twice"),
        (record() | {"parameters": 7}, "is damaged at parameters"),
    ],
)
def test_damaged_records(record, message):
    with pytest.raises(BadInput, match=message):
        cuts_of(record)


@pytest.mark.parametrize("part", [Part("conv1.weight", dim=7), Part("scale"), Part("embed.weight")])
def test_a_cut_of_what_is_no_layer_is_refused(part):
    model = BUILD()
    model.scale, model.embed = nn.Parameter(torch.ones(4)), nn.Embedding(4, 2)
    with pytest.raises(BadInput, match=f"the cut of {part.name} into 4 channels does not fit this architecture"):
        cut(model, [Cut("conv1.weight", 4, (0, 2), (part,))])


def test_cuts_of_another_architecture_are_refused():
    for other in (Resnet((3, 32, 32), depth=8, width=4), SmallCnn((3, 8, 8), width=5)):
        with pytest.raises(BadInput, match="does not fit this architecture"):
            cut(other(), CUTS)
