from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from lacunar.core.errors import BadInput
from lacunar.models._blocks import check_image, check_sizes, features, kaiming


@dataclass(frozen=True)
class Net:
    inputs: tuple[int, ...] = (3, 4, 4)
    classes: int = 2
    width: int = 1

    def name(self) -> str:
        return "net"


def test_sizes_are_at_least_one():
    check_sizes(Net(width=0))
    check_sizes(Net(), "width")
    with pytest.raises(BadInput, match="width must be at least 1, got 0"):
        check_sizes(Net(width=0), "width")
    with pytest.raises(BadInput, match="classes must be at least 1, got -2"):
        check_sizes(Net(classes=-2))
    for inputs in ((), (3, 0, 4)):
        with pytest.raises(BadInput, match=r"inputs is the shape of one example, sizes >= 1, got \("):
            check_sizes(Net(inputs))


def test_an_image_has_three_sizes():
    check_image(Net())
    with pytest.raises(BadInput, match=r"net takes images .*, got inputs of shape \(4, 4\); use mlp or logistic"):
        check_image(Net((4, 4)))


def test_features_are_all_values_of_an_example():
    assert features((3, 4, 5)) == 60 and features((7,)) == 7


def test_convolutions_start_kaiming_normal_by_fan_out_and_linear_layers_are_left():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(8, 64, 3), nn.Linear(3, 3))
    linear = net[1].weight.detach().clone()
    kaiming(net)
    weight = net[0].weight.detach()
    assert float(weight.std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert abs(float(weight.mean())) < 3e-3 and not net[0].bias.any()
    assert torch.equal(net[1].weight, linear)
