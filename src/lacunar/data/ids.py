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


def as_ids(ids: Ids) -> Tensor:
    """``ids`` as a one-dimensional int64 tensor on the CPU.

    Raises:
        BadInput: ids that are not whole numbers.
    """
    if not isinstance(ids, Tensor):
        array = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids))
        if array.size == 0:
            return torch.zeros(0, dtype=torch.int64)
        if array.dtype.kind not in "iuf":
            raise BadInput(f"ids must be whole numbers, got {sample_of(array.reshape(-1).tolist())}")
        ids = torch.as_tensor(array)
    if ids.dtype == torch.bool:
        raise BadInput("ids must be whole numbers, got a mask of truth values; give mask.nonzero() instead")
    ids = ids.detach().reshape(-1).cpu()
    if ids.is_floating_point() and bool((ids != ids.round()).any()):
        raise BadInput(f"ids must be whole numbers, got {sample_of(ids[ids != ids.round()].tolist())}")
    return ids.to(torch.int64)


def ids_digest(ids: Tensor) -> str:
    """The SHA-256 of the sorted ids as decimal lines: what a colleague can recompute from their own list."""
    lines = "".join(f"{int(i)}\n" for i in torch.sort(ids.cpu()).values)
    return hashlib.sha256(lines.encode()).hexdigest()
