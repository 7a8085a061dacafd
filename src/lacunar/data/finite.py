"""Which rows of a tensor hold NaN or infinity, without a second copy of it."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK_BYTES = 2 << 20


def not_finite_rows(x: Tensor) -> list[int]:
    """The positions of rows with NaN or infinity; read in pieces of ``CHUNK_BYTES``, since the test makes copies."""
    if not (x.is_floating_point() or x.is_complex()) or x.numel() == 0:
        return []
    size = max(1, CHUNK_BYTES * len(x) // (x.numel() * x.element_size()))
    found = []
    for first in range(0, len(x), size):
        finite = torch.isfinite(x[first : first + size])
        if not bool(finite.all()):
            bad = (~finite).reshape(len(finite), -1).any(1).nonzero().reshape(-1)
            found += (bad + first).tolist()
    return found
