"""Multinomial logistic regression."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from lacunar.models._blocks import check_sizes, features
from lacunar.training.architecture import Architecture


@dataclass(frozen=True)
class Logistic(Architecture):
    """One linear layer on the flattened input: a convex problem, where exact deletion and influence can be checked.

    Attributes:
        inputs: shape of one example.
        classes: number of logits; 1 for the loss "binary_cross_entropy".
        bias: add one free term per logit.
    """

    inputs: tuple[int, ...] = (64,)
    classes: int = 10
    bias: bool = True

    def __post_init__(self) -> None:
        check_sizes(self)

    def build(self) -> nn.Module:
        linear = nn.Linear(features(self.inputs), self.classes, bias=self.bias)
        return nn.Sequential(OrderedDict(flatten=nn.Flatten(), linear=linear))
