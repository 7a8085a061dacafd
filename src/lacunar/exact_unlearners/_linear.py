"""L2-regularised logistic and softmax regression as a convex objective, in float64, on dense or sparse rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack, vstack
from scipy.special import expit, softmax

from lacunar.core.errors import BadInput, sample_of
from lacunar.core.named import Named
from lacunar.curvature.solvers.cg import Cg, Products

Array: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]
Rows: TypeAlias = Any
"""A matrix ``[n, d]``: a NumPy array, or a SciPy ``csr_array``."""

SPARSE_BELOW = 0.2
STEP = Cg(rtol=1e-6, max_iter=500)
SMALLEST_STEP = 1e-3


@dataclass(frozen=True, eq=False)
class ConvexLoss:
    r""":math:`L_b(\theta) = \sum_n \ell(x_n^\top \theta, y_n) + \frac{\lambda}{2}\|\theta\|^2 + b^\top\theta`.

    Attributes:
        x: rows ``[n, d]``; y: int64 classes ``[n]``.
        l2: :math:`\lambda > 0`, in the scale of the sum.
        b: ``[d, k]``: k = 1 for two classes (one logit), else the number of classes.
        free: bool ``[d]``: which columns there are. A removed one is known exactly, :math:`\theta_j = -b_j/\lambda`.
    """

    x: Rows
    y: Labels
    l2: float
    b: Array
    free: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.y)

    def start(self) -> Array:
        """The minimiser without any example: where every removed column stays."""
        return -self.b / self.l2

    def gradient(self, theta: Array) -> Array:
        """The gradient, ``[d, k]``: one pass over the entries; exactly 0 in removed columns."""
        z = self.x @ theta
        if z.shape[1] == 1:
            error = expit(z) - (self.y == 1)[:, None]
        else:
            error = softmax(z, axis=1) - (self.y[:, None] == np.arange(z.shape[1]))
        full = self.x.T @ error + self.l2 * theta + self.b
        return np.where(self.free[:, None], full, 0.0)

    def newton_step(self, theta: Array, gradient: Array) -> Array:
        """The Newton step ``[d, k]`` by preconditioned conjugate gradients; 0 in removed columns."""
        z = self.x @ theta
        p = expit(z) if z.shape[1] == 1 else softmax(z, axis=1)
        squared = self.x.multiply(self.x) if isinstance(self.x, csr_array) else self.x**2

        def matrix(v: Any) -> Named:
            moved = self.x @ np.where(self.free[:, None], v["theta"].numpy(), 0.0)
            curved = p * moved - p * (p * moved).sum(1, keepdims=True) if z.shape[1] > 1 else p * (1 - p) * moved
            return {"theta": torch.from_numpy(np.where(self.free[:, None], self.x.T @ curved, 0.0))}

        diagonal = {"theta": torch.from_numpy(np.asarray(squared.T @ (p * (1 - p))))}
        right = {"theta": torch.from_numpy(gradient)}
        return STEP.solve(Products(matrix, diagonal=diagonal), right, self.l2).x["theta"].numpy()

    def without_columns(self, columns: Any) -> ConvexLoss:
        """The same objective with these columns set to 0 in every row."""
        free = self.free.copy()
        free[columns] = False
        return replace(self, x=_scaled(self.x, free.astype(np.float64)), free=free)

    def edited(self, gone: NDArray[np.bool_], new: tuple[Rows, Labels] | None) -> ConvexLoss:
        """The objective without the rows ``gone``, and with others at the end."""
        left, y = self.x[~gone], self.y[~gone]
        if new is None:
            return replace(self, x=left, y=y)
        rows = _scaled(new[0], self.free.astype(np.float64))
        if isinstance(self.x, csr_array):
            return replace(self, x=vstack([left, csr_array(rows)], format="csr"), y=np.concatenate([y, new[1]]))
        dense = rows.toarray() if isinstance(rows, csr_array) else rows
        return replace(self, x=np.concatenate([left, dense]), y=np.concatenate([y, new[1]]))


def newton(objective: ConvexLoss, theta: Array, goal: float, most: int) -> tuple[Array, float]:
    """Newton steps until the gradient norm is ``goal``, no step makes it smaller, or ``most`` are made.

    Returns:
        The weights, and the norm that was reached.
    """
    theta = np.where(objective.free[:, None], theta, objective.start())
    gradient = objective.gradient(theta)
    reached = float(np.linalg.norm(gradient))
    for _ in range(most):
        if reached <= goal:
            break
        step, size = objective.newton_step(theta, gradient), 1.0
        while size >= SMALLEST_STEP:
            moved = theta - size * step
            there = objective.gradient(moved)
            if (norm := float(np.linalg.norm(there))) < reached:
                break
            size /= 2  # far from the minimum a whole step can overshoot
        else:
            break
        theta, gradient, reached = moved, there, norm
    return theta, reached


def check_rows(x: torch.Tensor, width: int | None = None) -> None:
    """Raise :class:`BadInput` unless inputs are finite rows, of ``width`` numbers each."""
    if x.ndim == 0:
        raise BadInput("inputs are rows, [n, ...], got a single number")
    given = math.prod(x.shape[1:])
    if width is not None and given != width:
        raise BadInput(f"this model was trained on rows of {width} numbers, got rows of {given}")
    bad = (~torch.isfinite(x)).reshape(len(x), given).any(1)
    if bool(bad.any()):
        raise BadInput(f"rows {sample_of(bad.nonzero().reshape(-1).tolist())} hold NaN or infinity; clean the data")


def rows_of(x: torch.Tensor, bias: bool) -> Rows:
    """Inputs as float64 rows, flattened, with a last column of ones if ``bias``; sparse where few entries are not 0."""
    flat = x.detach().cpu().reshape(len(x), math.prod(x.shape[1:])).numpy()
    if np.count_nonzero(flat) < SPARSE_BELOW * flat.size:
        sparse = csr_array(flat.astype(np.float64, copy=False))
        ones = csr_array(np.ones((len(flat), 1)))
        return hstack([sparse, ones], format="csr") if bias else sparse
    dense = flat.astype(np.float64)
    return np.concatenate([dense, np.ones((len(flat), 1))], axis=1) if bias else dense


def _scaled(x: Rows, factors: Array) -> Rows:
    if not isinstance(x, csr_array):
        return x * factors
    scaled = x.copy()
    scaled.data *= factors[scaled.indices]
    scaled.eliminate_zeros()
    return scaled
