"""Exchanging masks with ``torch.nn.utils.prune``, which keeps them as ``weight_orig`` and ``weight_mask``.

Here a mask is a plain value: the hooks of torch make ``copy.deepcopy`` fail and slow the forward pass down.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, sample_of
from lacunar.core.masks import Mask

_ORIGINAL, _MASK = "_orig", "_mask"


@torch.no_grad()
def from_hooks(state: Mapping[str, Tensor], model: nn.Module) -> Mask:
    """Put the state dict of a net with pruning hooks into a plain ``model`` and return its mask.

    Weights outside the mask become exact zeros; tensors without a hook are live everywhere.

    Raises:
        BadInput: half a pair, names or shapes that the model does not have, mask values other than 0 and 1.
    """
    hooked = [name.removesuffix(_ORIGINAL) for name in state if name.endswith(_ORIGINAL)]
    if alone := [name for name in hooked if name + _MASK not in state]:
        raise BadInput(f"{sample_of(alone)} have an {_ORIGINAL} but no {_MASK} tensor: the state dict is incomplete")
    pairs = {name + ending for name in hooked for ending in (_ORIGINAL, _MASK)}
    values = {name: t for name, t in state.items() if name not in pairs}
    live: Mask = {}
    for name in hooked:
        mask = state[name + _MASK]
        if not bool(((mask == 0) | (mask == 1)).all()):
            raise BadInput(f"{name}{_MASK} holds values other than 0 and 1")
        live[name] = mask.bool()
        values[name] = state[name + _ORIGINAL].masked_fill(~live[name], 0.0)
    expected = model.state_dict()
    if wrong := sorted(set(values) ^ set(expected)):
        raise BadInput(f"the state dict does not fit this model: they differ at {sample_of(wrong)}")
    if wrong := [name for name, t in values.items() if t.shape != expected[name].shape]:
        raise BadInput(f"the state dict does not fit this model: other shapes at {sample_of(wrong)}")
    for name, value in values.items():
        expected[name].copy_(value)
    return {name: live.get(name, dense) for name, dense in masks.full(named.parameters(model), True).items()}


def to_hooks(model: nn.Module, mask: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict that ``model`` would have with pruning hooks on every tensor that ``mask`` prunes.

    Raises:
        BadInput: a mask of another model.
    """
    named.same_keys(named.parameters(model), mask)
    state: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if name in mask and not bool(mask[name].all()):
            state[name + _ORIGINAL] = value.detach().clone()
            state[name + _MASK] = mask[name].to(value.dtype)
        else:
            state[name] = value.detach().clone()
    return state
