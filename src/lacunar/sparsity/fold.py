"""Folding channels that are constant, and not silent, into the layer that reads them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lacunar.data.batches import Inputs
from lacunar.sparsity.channels import Channels, Part
from lacunar.training import forward

_CONV = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_SAME = 1e-5
"""Largest spread of a constant, relative to its size or to 1: what summation order can do in float32."""


def folded(
    model: nn.Module, mask: Mapping[str, Tensor], groups: Sequence[Channels], example: Inputs
) -> tuple[nn.Module, dict[str, Tensor]]:
    r"""A copy of the net that no longer needs its constant channels, and which these are: bool ``[size]`` by name.

    All filters that make such a channel are masked, but a BatchNorm behind them turns their zeros into
    :math:`\beta - \gamma \mu / \sqrt{\sigma^2 + \epsilon}`, a constant in eval mode. What a layer with weight W makes
    of a constant a is :math:`\sum_j W_{oj} a` at every position; it goes into that layer's bias, or is subtracted from
    the running mean of the BatchNorm behind it. A constant of 0 needs neither. Left alone are constants that meet zero
    padding, whose border would differ, and layers that have no such place.

    Args:
        model: left as found; its channels are to be cut out of the copy, which is no equal net before that.
        example: prepared inputs; constants are read off the net's own eval-mode pass over them.
    """
    adjusted = copy.deepcopy(model)
    constant: dict[str, Tensor] = {}
    with _watched(model, groups) as seen, torch.no_grad(), forward.eval_mode(model):
        forward.logits(model, example)
    for channels in groups:
        found = _without_filters(channels, mask)
        for part in channels.readers:
            found &= _readable(model, mask, part, seen, channels.size)
        constant[channels.name] = found
        for part in channels.readers:
            _absorb(adjusted, part, seen, found)
    return adjusted, constant


@dataclass
class _Seen:
    # By the path of a reading layer: its input, its output, and the BatchNorm that takes just this output.
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    norms: dict[str, str] = field(default_factory=dict)

    def values(self, layer: nn.Module, part: Part, size: int) -> tuple[Tensor, Tensor]:
        """What each channel is where ``part`` reads it, ``[size]``, and whether that is one value everywhere."""
        rows = self.inputs[_path(part)].movedim(1 if isinstance(layer, _CONV) else -1, 0).reshape(size, -1)
        low, high = rows.min(1).values, rows.max(1).values
        return high, high - low <= _SAME * high.abs().clamp(min=1)


@contextmanager
def _watched(model: nn.Module, groups: Sequence[Channels]) -> Iterator[_Seen]:
    seen = _Seen()
    paths = {_path(part) for channels in groups for part in channels.readers}

    def read(path: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            seen.inputs[path], seen.outputs[path] = args[0], output

        return hook

    def normed(path: str) -> Any:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            seen.norms.update({layer: path for layer, output in seen.outputs.items() if output is args[0]})

        return hook

    hooks = [model.get_submodule(path).register_forward_hook(read(path)) for path in sorted(paths)]
    hooks += [m.register_forward_pre_hook(normed(n)) for n, m in model.named_modules() if isinstance(m, _NORM)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _without_filters(channels: Channels, mask: Mapping[str, Tensor]) -> Tensor:
    filters = [part.rows(mask[part.name]) for part in channels.makers if mask[part.name].ndim > 1]
    return ~torch.cat(filters, dim=1).any(1)


def _readable(model: nn.Module, mask: Mapping[str, Tensor], part: Part, seen: _Seen, size: int) -> Tensor:
    layer = model.get_submodule(_path(part))
    value, same = seen.values(layer, part, size)
    if _padded(layer):
        return same & (value == 0)
    bias = f"{part.name.rpartition('.')[0]}.bias".lstrip(".")
    if bias in mask:
        # A bias that is masked must stay 0, so nothing may be added to it.
        spoilt = ((_share(layer, part, value) != 0) & ~mask[bias][:, None]).any(0)
        return same & ~spoilt
    norm = seen.norms.get(_path(part))
    room = norm is not None and model.get_submodule(norm).running_mean is not None
    return same if room else same & (value == 0)


@torch.no_grad()
def _absorb(model: nn.Module, part: Part, seen: _Seen, constant: Tensor) -> None:
    layer = model.get_submodule(_path(part))
    value, _ = seen.values(layer, part, len(constant))
    added = _share(layer, part, value)[:, constant].sum(1)
    if not bool(added.any()):
        return
    if isinstance(layer.bias, Tensor):
        layer.bias += added
    else:
        mean = model.get_submodule(seen.norms[_path(part)]).running_mean
        assert isinstance(mean, Tensor)
        mean -= added


def _share(layer: nn.Module, part: Part, value: Tensor) -> Tensor:
    """What each constant channel adds to each output, ``[outputs, channels]``."""
    assert isinstance(layer.weight, Tensor)
    summed = layer.weight.detach().flatten(2).sum(2) if layer.weight.ndim > 2 else layer.weight.detach()
    return summed.reshape(len(summed), len(value), part.repeat).sum(2) * value


def _padded(layer: nn.Module) -> bool:
    if not isinstance(layer, _CONV) or layer.padding_mode != "zeros":
        return False
    return layer.padding != "valid" and (isinstance(layer.padding, str) or any(layer.padding))


def _path(part: Part) -> str:
    return part.name.rpartition(".")[0]
