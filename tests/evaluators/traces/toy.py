"""Small models of next characters, some with probabilities that are known."""

from __future__ import annotations

import torch
from torch import nn

from lacunar.catalog.registry import find
from lacunar.data.characters import SYMBOLS
from lacunar.training.recipe import Recipe


class Bigram(nn.Module):
    """The next character depends on the last one alone: logits are a row of a table."""

    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, codes):
        return self.table[codes]


class Whole(nn.Module):
    """A character LSTM that cannot go on from a state."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, codes):
        return self.inner(codes)


def bigram(seed: int = 0, ends: float = 0.0) -> Bigram:
    table = 2 * torch.randn(SYMBOLS, SYMBOLS, generator=torch.Generator().manual_seed(seed))
    table[:, :2] = ends
    return Bigram(table)


def lstm(seed: int = 0) -> nn.Module:
    net = Recipe(find("models", "char_lstm", embedding=8, hidden=12)).fresh(seed)
    with torch.no_grad():
        net.head.weight.mul_(8)  # untrained heads are too flat to prune anything
    return net
