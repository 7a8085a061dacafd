"""VGG-16 with BatchNorm for small images."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from lacunar.models._blocks import check_image, check_sizes, kaiming
from lacunar.training.architecture import Architecture

STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
"""Channels of the thirteen convolutions in units of ``width``; a max-pool ends each stage."""


@dataclass(frozen=True)
class Vgg16Bn(Architecture):
    """VGG-16 with BatchNorm (Simonyan and Zisserman 2015, configuration D), as it is customary for 32x32 images.

    One linear layer stands for the three of the ImageNet net. Convolutions have no bias, which BatchNorm would cancel.
    14,724,042 weights for 3x32x32 and ten classes.

    Attributes:
        inputs: (channels, height, width); sides that are not a multiple of 32 are rounded up when pooled.
        classes: number of logits.
        width: channels of the first stage.
    """

    inputs: tuple[int, ...] = (3, 32, 32)
    classes: int = 10
    width: int = 64

    def __post_init__(self) -> None:
        check_sizes(self, "width")
        check_image(self)

    def build(self) -> nn.Module:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = self.inputs[0]
        for s, stage in enumerate(STAGES, start=1):
            for i, multiple in enumerate(stage, start=1):
                width = multiple * self.width
                layers[f"conv{s}_{i}"] = nn.Conv2d(channels, width, 3, padding=1, bias=False)
                layers[f"bn{s}_{i}"] = nn.BatchNorm2d(width)
                layers[f"relu{s}_{i}"] = nn.ReLU()
                channels = width
            layers[f"pool{s}"] = nn.MaxPool2d(2, ceil_mode=True)
        layers["average"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        layers["head"] = nn.Linear(channels, self.classes)
        return kaiming(nn.Sequential(layers))
