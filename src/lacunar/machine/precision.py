"""In which precision a model runs on a device."""

from __future__ import annotations

import torch
from torch import nn

PRECISIONS = ("auto", "float32", "bfloat16")


def is_conv(model: nn.Module) -> bool:
    """Whether the model has a two-dimensional convolution."""
    return any(isinstance(module, nn.Conv2d) for module in model.modules())


def resolve_precision(precision: str, model: nn.Module, device: torch.device) -> str:
    """The precision that "auto" means for this model on this device: "float32" or "bfloat16".

    Nets without convolutions stay in float32 on a CPU: casting costs them more than the arithmetic saves.
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float32"
    if device.type == "cpu" and is_conv(model) and cpu_has_bfloat16():
        return "bfloat16"
    return "float32"


def cpu_has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16 itself."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name)()) for name in checks if hasattr(torch.cpu, name))
