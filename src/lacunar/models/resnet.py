"""Residual nets for small images."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from lacunar.core.errors import BadInput, sample_of
from lacunar.models._blocks import check_image, check_sizes, kaiming
from lacunar.training.architecture import Architecture

STAGES = {
    8: (1, 1, 1),
    14: (2, 2, 2),
    20: (3, 3, 3),
    32: (5, 5, 5),
    44: (7, 7, 7),
    56: (9, 9, 9),
    18: (2, 2, 2, 2),
}
"""Basic blocks per stage for each depth: three stages as for CIFAR-10, four as for ImageNet."""

WIDTHS = {3: 16, 4: 64}
"""Channels of the first stage that are customary for three and for four stages."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution with BatchNorm where the shape changes."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            projection = nn.Conv2d(channels, width, 1, stride, bias=False)
            self.shortcut = nn.Sequential(OrderedDict(conv=projection, bn=nn.BatchNorm2d(width)))

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out)) + self.shortcut(x)
        shaped: Tensor = self.relu2(out)
        return shaped


@dataclass(frozen=True)
class Resnet(Architecture):
    """Residual nets of basic blocks (He et al., CVPR 2016, arXiv:1512.03385), with a 3x3 stem of stride 1, no max-pool.

    Depths 8, 14, 20, 32, 44 and 56 are the three-stage nets of the paper's CIFAR-10 section, 18 is its four-stage
    ImageNet net. With ten classes and 3 channels: 78,042 weights (8), 272,474 (20), 11,173,962 (18).

    Departures from the paper: shortcuts that change the shape are projections (its option B) for all depths, where the
    paper pads with zeros on CIFAR-10 (option A); the stem of depth 18 is the one customary for 32x32 images.

    Attributes:
        inputs: (channels, height, width).
        classes: number of logits.
        depth: a key of ``STAGES``.
        width: channels of the first stage, doubled in each further one; None is 16 with three stages, 64 with four.
    """

    inputs: tuple[int, ...] = (3, 32, 32)
    classes: int = 10
    depth: int = 20
    width: int | None = None

    def __post_init__(self) -> None:
        check_sizes(self, *(["width"] if self.width is not None else []))
        check_image(self)
        if self.depth not in STAGES:
            raise BadInput(f"resnet has no depth {self.depth}; choose from {sample_of(sorted(STAGES))}")

    def build(self) -> nn.Module:
        stages = STAGES[self.depth]
        width = self.width or WIDTHS[len(stages)]
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv=nn.Conv2d(self.inputs[0], width, 3, padding=1, bias=False), bn=nn.BatchNorm2d(width), relu=nn.ReLU()
        )
        channels = width
        for s, blocks in enumerate(stages):
            for b in range(blocks):
                stride = 2 if s > 0 and b == 0 else 1
                layers[f"stage{s + 1}_block{b + 1}"] = BasicBlock(channels, width << s, stride)
                channels = width << s
        layers["average"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        layers["head"] = nn.Linear(channels, self.classes)
        return kaiming(nn.Sequential(layers))
