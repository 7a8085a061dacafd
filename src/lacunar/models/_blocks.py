"""What the architectures share: checks of their settings, and the initialisation of convolutions."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from lacunar.core.errors import BadInput


def check_sizes(architecture: Any, *names: str) -> None:
    """Raise :class:`BadInput` unless ``inputs``, ``classes`` and the settings ``names`` are whole numbers >= 1."""
    if not architecture.inputs or min(architecture.inputs) < 1:
        raise BadInput(f"inputs is the shape of one example, sizes >= 1, got {architecture.inputs}")
    for name in ("classes", *names):
        if getattr(architecture, name) < 1:
            raise BadInput(f"{name} must be at least 1, got {getattr(architecture, name)}")


def check_image(architecture: Any) -> None:
    """Raise :class:`BadInput` unless ``inputs`` is (channels, height, width)."""
    if len(architecture.inputs) != 3:
        raise BadInput(
            f"{architecture.name()} takes images (channels, height, width), got inputs of shape {architecture.inputs}; "
            "use mlp or logistic for vectors"
        )


def features(inputs: tuple[int, ...]) -> int:
    """The length of one flattened example."""
    return math.prod(inputs)


def kaiming(model: nn.Module) -> nn.Module:
    """Draw every convolution from N(0, 2 / fan_out) (He et al. 2015); linear layers keep PyTorch's own draw."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model
