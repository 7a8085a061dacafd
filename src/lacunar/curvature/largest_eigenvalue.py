"""The largest eigenvalue of a curvature matrix."""

from __future__ import annotations

import torch

from lacunar.core import masks, named
from lacunar.curvature.matrix import Matrix


def power_iteration(matrix: Matrix, products: int = 10) -> float:
    """The largest absolute eigenvalue on the free weights, from below, by products from a start of ones.

    For a Gauss-Newton matrix of a net ten products come within a few per cent; 0 for a matrix of zeros.
    """
    ones = {name: torch.ones_like(w) for name, w in named.weights(matrix.objective.model).items()}
    v, found = masks.keep(ones, matrix.free), 0.0
    for _ in range(products):
        moved = matrix(v)
        found = named.norm(moved) / named.norm(v)
        if found == 0:
            return 0.0
        v = named.scale(moved, 1.0 / named.norm(moved))
    return found
