"""A multi-layer perceptron."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from lacunar.models._blocks import check_sizes, features
from lacunar.training.architecture import Architecture


@dataclass(frozen=True)
class Mlp(Architecture):
    """``depth`` hidden layers of ``hidden`` ReLU units on the flattened input, then a linear head.

    Attributes:
        inputs: shape of one example.
        classes: number of logits.
        hidden: units of each hidden layer.
        depth: hidden layers.
    """

    inputs: tuple[int, ...] = (64,)
    classes: int = 10
    hidden: int = 128
    depth: int = 1

    def __post_init__(self) -> None:
        check_sizes(self, "hidden", "depth")

    def build(self) -> nn.Module:
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        width = features(self.inputs)
        for i in range(1, self.depth + 1):
            layers[f"hidden{i}"] = nn.Linear(width, self.hidden)
            layers[f"relu{i}"] = nn.ReLU()
            width = self.hidden
        layers["head"] = nn.Linear(width, self.classes)
        return nn.Sequential(layers)
