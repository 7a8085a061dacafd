"""A small convolutional net that trains in seconds on a laptop."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from lacunar.core.errors import BadInput
from lacunar.models._blocks import check_image, check_sizes, kaiming
from lacunar.training.architecture import Architecture


@dataclass(frozen=True)
class SmallCnn(Architecture):
    """``depth`` blocks of 3x3 convolution, BatchNorm and ReLU, a 2x2 max-pool between blocks, a global average, a head.

    Attributes:
        inputs: (channels, height, width), both sides at least 2^(depth - 1).
        classes: number of logits.
        width: channels of the first block; they double from block to block.
        depth: blocks.
        batchnorm: without it, convolutions have a bias instead: for work that needs independent examples.
    """

    inputs: tuple[int, ...] = (1, 28, 28)
    classes: int = 10
    width: int = 16
    depth: int = 3
    batchnorm: bool = True

    def __post_init__(self) -> None:
        check_sizes(self, "width", "depth")
        check_image(self)
        if min(self.inputs[1:]) < (least := 1 << (self.depth - 1)):
            raise BadInput(
                f"small_cnn with depth={self.depth} halves the image {self.depth - 1} times and needs sides of at "
                f"least {least} pixels, got {self.inputs}; lower depth"
            )

    def build(self) -> nn.Module:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = self.inputs[0]
        for i in range(1, self.depth + 1):
            width = self.width << (i - 1)
            if i > 1:
                layers[f"pool{i - 1}"] = nn.MaxPool2d(2)
            layers[f"conv{i}"] = nn.Conv2d(channels, width, 3, padding=1, bias=not self.batchnorm)
            if self.batchnorm:
                layers[f"bn{i}"] = nn.BatchNorm2d(width)
            layers[f"relu{i}"] = nn.ReLU()
            channels = width
        layers["average"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        layers["head"] = nn.Linear(channels, self.classes)
        return kaiming(nn.Sequential(layers))
