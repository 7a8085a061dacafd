"""The optimiser of a descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from lacunar.training.settings import Descent


def optimizer_of(how: Descent, weights: Sequence[nn.Parameter]) -> Optimizer:
    """A fresh optimiser, with one fused kernel for all weights where there is one."""
    common: dict[str, Any] = {"lr": how.lr, "weight_decay": how.weight_decay}
    if all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in weights):
        common["fused"] = True
    if how.optimizer == "sgd":
        sgd = SGD(weights, momentum=how.momentum, **common)
        for p in weights if how.momentum else ():
            # The fused kernel cannot take weights of which only some have moved before; from 0 the first step is equal.
            sgd.state[p]["momentum_buffer"] = torch.zeros_like(p)
        return sgd
    return (Adam if how.optimizer == "adam" else AdamW)(weights, **common)
