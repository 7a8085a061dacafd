"""Single items of a user's data set: how one is read, split into input and label, and put beside others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from lacunar.core.errors import BadInput, sample_of
from lacunar.data.batches import Inputs
from lacunar.data.examples import from_array

LABEL_KEYS = ("labels", "label", "y")


def read_item(dataset: Any, i: int) -> tuple[Inputs, Tensor]:
    """Item ``i`` as (input, label), tensors inside.

    Raises:
        BadInput: the data set raises an error there, or the item has another form than :func:`split_item` takes; the
            message names the item.
    """
    try:
        item = dataset[i]
    except Exception as error:
        # A user's code may raise anything, and its words alone would not say which of a million items it is.
        raise BadInput(
            f"item {i} of the data set cannot be read ({type(error).__name__}: {error}); repair it or leave it out"
        ) from error
    try:
        x, y = split_item(item)
        return x, label_of(y)
    except BadInput as error:
        raise BadInput(f"item {i} of the data set: {error}") from error


def split_item(item: Any) -> tuple[Inputs, Any]:
    """An item as ``(x, y)``, tensors inside ``x``; PIL images become uint8 ``[channels, height, width]``.

    A tuple of inputs becomes a dict with keys "0", "1", ..., which the forward pass hands over by position.

    Raises:
        BadInput: anything but a pair or a dict with a label; what was got is named.
    """
    if isinstance(item, Mapping):
        key = next((k for k in LABEL_KEYS if k in item), None)
        if key is None:
            raise BadInput(f"items are dicts with keys {sample_of(item)}, but no label under {' / '.join(LABEL_KEYS)}")
        return {k: _one(v) for k, v in item.items() if k != key and k != "id"}, item[key]
    if isinstance(item, Sequence) and len(item) == 2:
        x, y = item
        if isinstance(x, tuple):
            x = {str(i): part for i, part in enumerate(x)}
        return ({k: _one(v) for k, v in x.items()} if isinstance(x, Mapping) else _one(x)), y
    raise BadInput(f"items must be (x, y) or a dict with a label, got {_form(item)}{_remedy(item)}")


def label_of(value: Any) -> Tensor:
    """A label as a tensor of numbers, float64 kept.

    Raises:
        BadInput: a label that is no number.
    """
    if isinstance(value, Tensor):
        return value.detach()
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise BadInput(f"labels must be numbers, got {value!r:.60}; number the classes 0, 1, 2, ...")
    return torch.as_tensor(array)


def collate(items: Sequence[Inputs], positions: Sequence[int]) -> Inputs:
    """Inputs of single examples as one batch."""
    first = items[0]
    odd = next((p for p, x in zip(positions, items, strict=True) if not alike(first, x)), None)
    if odd is not None:
        raise BadInput(f"item {odd} of the data set has another shape than item {positions[0]}: pad it")
    if isinstance(first, dict):
        return {key: torch.stack([cast(dict[str, Tensor], x)[key] for x in items]) for key in first}
    return torch.stack([cast(Tensor, x) for x in items])


def alike(a: Inputs, b: Inputs) -> bool:
    """Whether two inputs have the same parts of the same shapes."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(a[k].shape == b[k].shape for k in a)
    return isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape


def identical(a: Inputs, b: Inputs) -> bool:
    """Whether two inputs are bit-equal, NaN included."""
    if not alike(a, b):
        return False
    if isinstance(a, dict) and isinstance(b, dict):
        return all(_bits_equal(a[k], b[k]) for k in a)
    return _bits_equal(cast(Tensor, a), cast(Tensor, b))


def _bits_equal(a: Tensor, b: Tensor) -> bool:
    left, right = (t.cpu().contiguous().reshape(-1) for t in (a, b))
    return left.dtype == right.dtype and torch.equal(left.view(torch.uint8), right.view(torch.uint8))


def _one(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    array = np.asarray(value)
    if hasattr(value, "getbands"):
        array = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    if array.dtype.kind not in "biuf":
        raise BadInput(f"inputs must be numbers, got {type(value).__name__}; tokenise or encode them first")
    return from_array(np.array(array))


def _form(item: Any) -> str:
    if isinstance(item, Sequence) and not isinstance(item, str):
        return f"a {type(item).__name__} of {len(item)} ({sample_of(map(_form, item[:4]), 3)})"
    shape = f" {list(item.shape)}" if hasattr(item, "shape") and len(item.shape) else ""
    return f"{type(item).__name__}{shape}"


def _remedy(item: Any) -> str:
    if isinstance(item, Sequence) and len(item) == 3:
        return "; return (x, y) alone, and give a third part such as an index or an id as ids="
    return ""
