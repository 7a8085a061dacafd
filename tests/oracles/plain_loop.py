"""A plain PyTorch training loop: what ``descend`` must equal."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lacunar.core.rng import generator_of
from lacunar.data.examples import Examples


def batches(order: Tensor, size: int) -> list[Tensor]:
    """Parts of ``size``, the last one smaller; one of a single example joins its predecessor."""
    parts = list(order.split(size))
    return [*parts[:-2], torch.cat(parts[-2:])] if size > 1 and len(parts) > 1 and len(parts[-1]) == 1 else parts


def train(
    model: nn.Module,
    examples: Examples,
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor],
    *,
    epochs: int,
    lr: float,
    batch_size: int,
    momentum: float,
    weight_decay: float,
    seed: int,
    rate: Callable[[float], float] = lambda p: 1.0,
) -> nn.Module:
    model = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay)
    steps = len(batches(torch.arange(len(examples)), batch_size)) * epochs
    done = 0
    for epoch in range(epochs):
        order = torch.randperm(len(examples), generator=generator_of(seed, "order", epoch))
        for chosen in batches(order, batch_size):
            for group in optimizer.param_groups:
                group["lr"] = lr * rate(done / steps)
            optimizer.zero_grad()
            loss(model, examples.x[chosen], examples.y[chosen]).backward()
            optimizer.step()
            done += 1
    return model
