"""Ids of examples: whole numbers, whatever they come in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lacunar.core.errors import BadInput, sample_of

Ids: TypeAlias = Tensor | np.ndarray[Any, Any] | Sequence[int]
LARGEST = (1 << 63) - 1


def as_ids(ids: Ids) -> Tensor:
    """``ids`` as a one-dimensional int64 tensor on the CPU.

    Raises:
        BadInput: ids that are not whole numbers, that int64 cannot hold, or floating point numbers so large that
            neighbours are the same.
    """
    given = ids.detach().reshape(-1).cpu() if isinstance(ids, Tensor) else _tensor(_array(ids))
    if given.dtype == torch.bool:
        raise BadInput("ids must be whole numbers, got a mask of truth values; give mask.nonzero(), its positions")
    if given.is_complex():
        raise BadInput(f"ids must be whole numbers, got complex numbers, {sample_of(given.tolist())}")
    if given.is_floating_point():
        _check_whole(given)
    elif given.dtype == torch.uint64 and bool((given.view(torch.int64) < 0).any()):
        large = [i for i in given.tolist() if i > LARGEST]
        raise BadInput(
            f"ids are at most {LARGEST}, the most that int64 holds, got {sample_of(large)}; number them anew"
        )
    return given.to(torch.int64)


def _array(ids: Any) -> np.ndarray[Any, Any]:
    try:
        array = ids if isinstance(ids, np.ndarray) else np.asarray(list(ids))
    except (TypeError, ValueError) as error:
        raise BadInput(f"ids are a list of whole numbers, got {ids!r:.60} ({error})") from error
    return array.reshape(-1)


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    if array.size == 0:
        return torch.zeros(0, dtype=torch.int64)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        kind = "" if array.dtype.kind == "O" else f" of type {array.dtype.name}"
        shown = sample_of(f"{value!r:.60}" for value in array[:11].tolist())
        raise BadInput(f"ids must be whole numbers of at most 64 bits, got {shown}{kind}")
    # Neither bytes in the order of another machine nor a second name of a type are known to torch.
    return torch.as_tensor(array.astype(f"{array.dtype.kind}{array.dtype.itemsize}"))


def _check_whole(ids: Tensor) -> None:
    if len(broken := ids[(ids != ids.round()) | ~ids.isfinite()]):
        raise BadInput(f"ids must be whole numbers, got {sample_of(broken.tolist())}")
    exact = 2 / torch.finfo(ids.dtype).eps
    if len(large := ids[ids.abs() > exact]):
        raise BadInput(
            f"ids that come as {str(ids.dtype).removeprefix('torch.')} are exact up to {exact:.0f}, got "
            f"{sample_of(large.tolist())}; give them as whole numbers"
        )


def ids_digest(ids: Tensor) -> str:
    """The SHA-256 of the sorted ids as decimal lines: what a colleague can recompute from their own list."""
    lines = "".join(f"{int(i)}\n" for i in torch.sort(ids.cpu()).values)
    return hashlib.sha256(lines.encode()).hexdigest()
