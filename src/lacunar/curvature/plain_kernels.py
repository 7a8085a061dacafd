"""Kernels that can be differentiated forward, twice, and in batches, in place of fused ones that cannot."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def plain_kernels(model: nn.Module) -> Iterator[None]:
    """Attention by its formula, and recurrence step by step; the settings are those of before afterwards.

    Fused attention has no forward mode, no batching rule and on a CPU no second derivative; the fused layers of
    ``nn.TransformerEncoder`` and ``nn.MultiheadAttention`` are taken wherever no input asks for gradients, as in
    forward mode. Fused RNN kernels have neither, and on a GPU no second derivative.
    """
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(_layer_by_layer())
        if any(isinstance(module, nn.RNNBase) for module in model.modules()):
            stack.enter_context(_plain_recurrence())
        yield


@contextmanager
def _layer_by_layer() -> Iterator[None]:
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


@contextmanager
def _plain_recurrence() -> Iterator[None]:
    fused = torch.backends.mkldnn.flags(enabled=False)
    with torch.backends.cudnn.flags(enabled=False):
        with _without_tf32_advice():
            fused.__enter__()
        try:
            yield
        finally:
            with _without_tf32_advice():
                fused.__exit__(None, None, None)


@contextmanager
def _without_tf32_advice() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TF32 acceleration")  # setting the flags touches one for Intel GPUs
        yield
