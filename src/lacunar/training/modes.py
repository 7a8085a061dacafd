"""How a model stands while it is trained: train mode, memory layout, compiled or not; left as found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lacunar.machine.precision import is_conv
from lacunar.training.settings import Descent


@contextmanager
def training(model: nn.Module, how: Descent) -> Iterator[None]:
    """Train mode inside the block; each module's own mode is restored after it."""
    was = {module: module.training for module in model.modules()}
    conv = is_conv(model)
    model.train()
    if how.compile:
        model.compile()  # in place: weights keep their names, and losses that walk them keep working
    if how.batchnorm == "frozen":
        for module in norms(model):
            module.eval()
    if conv:
        _layout(model, torch.channels_last)
    try:
        yield
    finally:
        model._compiled_call_impl = None
        if conv:
            _layout(model, torch.contiguous_format)
        for module, mode in was.items():
            module.training = mode


def norms(model: nn.Module) -> list[nn.Module]:
    """The layers that normalise by statistics of a batch."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


class BatchStatistics:
    """BatchNorm layers that use their running statistics while a batch holds one example, which has no spread.

    Args:
        model: in the mode in which it is trained.
    """

    def __init__(self, model: nn.Module) -> None:
        self.layers = [module for module in norms(model) if module.training]
        self.alone = False

    def suit(self, smallest: int) -> None:
        """Prepare for a batch whose smallest stream holds ``smallest`` examples."""
        if (smallest == 1) != self.alone:
            self.alone = smallest == 1
            for layer in self.layers:
                layer.train(not self.alone)


def _layout(model: nn.Module, memory_format: torch.memory_format) -> None:
    for parameter in model.parameters():
        if parameter.ndim == 4:
            # clone() always restrides; contiguous() leaves weights alone that have one input channel or are 1x1, and
            # then the whole layer runs in the old layout.
            parameter.data = parameter.data.clone(memory_format=memory_format)
            parameter.grad = None
