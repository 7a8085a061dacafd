"""Small nets of every layer kind, in eval mode and float64, with a few examples each."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lacunar.core.rng import isolated
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe

N = 7


class Residual(nn.Module):
    """Conv, BatchNorm, residual sum and pooling, the rectifiers as functions."""

    def __init__(self, act: Callable[[Tensor], Tensor] = torch.relu) -> None:
        super().__init__()
        self.act = act
        self.first = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.first(x)))
        x = self.act(x + self.second(x))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Tied(nn.Module):
    """Two layers that share one matrix, and a bias of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.two(torch.relu(self.one(x)))))


class Borrowed(nn.Module):
    """A Linear layer whose weight is also used as a plain tensor, out of sight of hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(F.linear(torch.relu(self.inner(x)), self.inner.weight)))


class Positions(nn.Module):
    """A Linear layer over a sequence ``[n, length, features]``, and one over positions folded into the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.each, self.folded, self.head = nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.each(x))
        h = torch.relu(self.folded(h.reshape(-1, 4))).reshape(h.shape)
        return self.head(h.mean(1))


class Attention(nn.Module):
    """A layer of a transformer, whose fused kernels have neither forward mode nor a second derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 5, dropout=0.1, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x).mean(1))


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm, self.head = nn.Embedding(9, 4), nn.LayerNorm(4), nn.Linear(4, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.norm(self.embed(tokens)).mean(1))


class Tagger(nn.Module):
    """One label per token: logits ``[n, length, classes]``."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(9, 4), nn.Linear(4, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(torch.relu(self.embed(tokens)))


def _vectors(*shape: int) -> Tensor:
    return torch.randn(N, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def _tokens() -> Tensor:
    return torch.randint(0, 9, (N, 4), generator=torch.Generator().manual_seed(6))


def mlp(act: type[nn.Module] = nn.ReLU) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 6), act(), nn.Linear(6, 4), act(), nn.Linear(4, 3))


def conv(**kind: int) -> nn.Module:
    first = nn.Conv2d(2, 4, 3, **kind)
    return nn.Sequential(first, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


NETS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "mlp": (mlp, lambda: _vectors(5)),
    "no_bias": (lambda: nn.Sequential(nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 3)), lambda: _vectors(5)),
    "gelu": (lambda: mlp(nn.GELU), lambda: _vectors(5)),
    "conv": (lambda: conv(padding=1), lambda: _vectors(2, 6, 6)),
    "conv_stride": (lambda: conv(stride=2), lambda: _vectors(2, 6, 6)),
    "conv_dilation": (lambda: conv(dilation=2), lambda: _vectors(2, 6, 6)),
    "conv_groups": (lambda: conv(groups=2), lambda: _vectors(2, 6, 6)),
    "conv_no_bias": (lambda: conv(bias=False), lambda: _vectors(2, 6, 6)),
    "residual": (Residual, lambda: _vectors(2, 5, 5)),
    "residual_gelu": (lambda: Residual(F.gelu), lambda: _vectors(2, 5, 5)),
    "tied": (Tied, lambda: _vectors(5)),
    "borrowed": (Borrowed, lambda: _vectors(5)),
    "positions": (Positions, lambda: _vectors(4, 5)),
    "words": (Words, _tokens),
    "attention": (Attention, lambda: _vectors(3, 4)),
}
CASES = [(name, False) for name in NETS] + [(name, True) for name in ("mlp", "residual", "tied", "positions")]
CASE_IDS = [f"{name}-{'masked' if masked else 'all'}" for name, masked in CASES]
PIECEWISE = [
    "mlp", "no_bias", "conv", "conv_stride", "conv_dilation", "conv_groups", "conv_no_bias", "residual", "positions",
]  # fmt: skip
CURVED = ["gelu", "residual_gelu", "words", "tied", "borrowed", "attention"]


def net(name: str) -> tuple[nn.Module, Examples, Recipe]:
    """A net in float64 with moved BatchNorm statistics, seven examples of three classes, and a recipe."""
    build, inputs = NETS[name]
    with isolated(7, name):
        model = build().double()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2.0)
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return model.eval(), Examples.of(inputs(), torch.arange(N) % 3, ids=torch.arange(N) * 3 + 2), Recipe()


def some(model: nn.Module, share: float = 0.4) -> dict[str, Tensor]:
    """A mask of about a share of the weights of each tensor."""
    g = torch.Generator().manual_seed(11)
    return {name: torch.rand(p.shape, generator=g) < share for name, p in model.named_parameters()}
