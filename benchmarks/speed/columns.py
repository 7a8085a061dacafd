"""A Newton step of logistic regression after columns were removed: conjugate gradients against a dense Hessian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.special import expit

from benchmarks import timing
from lacunar.catalog.registry import parse
from lacunar.core.rng import numpy_generator
from lacunar.data.examples import Examples
from lacunar.exact_unlearners._linear import Array, ConvexLoss, newton, rows_of

CASES = (
    ("Enron, 10 of 4,902 words", "enron", 10),
    ("Adult, 10 of its columns", "adult", 10),
)
EQUAL, TRAINED = 1e-4, 1e-8


def columns() -> list[dict[str, Any]]:
    """Rounds of the step in all cases."""
    return [
        row for case, dataset, count in CASES for row in raced(case, parse("datasets", dataset).load().train, count)
    ]


def raced(case: str, train: Examples, count: int) -> list[dict[str, Any]]:
    """Rounds of the step after ``count`` columns of a trained model were removed, drawn at random.

    A row says how far the ways are ``apart``, relative to the step, and what gradient norm is ``left`` after it.
    """
    edited, start = without(train, count)
    gradient = edited.gradient(start)
    ways: dict[str, Callable[[], Array]] = {
        "conjugate gradients (ours)": lambda: edited.newton_step(start, gradient),
        "dense Hessian, inverse": lambda: np.linalg.inv(hessian_of(edited, start)) @ gradient,
        "dense Hessian, Cholesky": lambda: np.asarray(cho_solve(cho_factor(hessian_of(edited, start)), gradient)),
    }
    steps = {name: way() for name, way in ways.items()}
    right = steps["dense Hessian, Cholesky"]
    apart = max(float(np.linalg.norm(step - right)) for step in steps.values()) / float(np.linalg.norm(right))
    if apart > EQUAL:
        raise SystemExit(f"{case}: the ways do not give the same step: {apart:.1e}")
    left = {name: float(np.linalg.norm(edited.gradient(start - step))) for name, step in steps.items()}
    about = {"what": "columns", "case": case, "examples": len(train), "columns": len(start), "apart": apart}
    found = timing.race({name: timing.here(way) for name, way in ways.items()})
    return [{**about, "left": left[row["variant"]], **row} for row in found]


def without(train: Examples, count: int) -> tuple[ConvexLoss, Array]:
    """The objective without some columns, and the trained weights, those of the columns set to 0."""
    x = rows_of(train.x, bias=True)
    width = x.shape[1]
    whole = ConvexLoss(x, train.y.numpy(), 1.0, np.zeros((width, 1)), np.ones(width, dtype=bool))
    theta, reached = newton(whole, np.zeros((width, 1)), 1e-10 * len(whole), 100)
    if reached > TRAINED * len(whole):
        raise SystemExit(f"the model to edit is not trained: its gradient norm is {reached:.1e}")
    edited = whole.without_columns(numpy_generator(0, "columns").choice(width - 1, count, replace=False))
    return edited, np.where(edited.free[:, None], theta, 0.0)


def hessian_of(objective: ConvexLoss, theta: Array) -> Array:
    """The Hessian ``[d, d]`` of a logistic objective, written out."""
    x, p = objective.x, expit(objective.x @ theta)
    scaled = x.multiply(p * (1 - p)) if isinstance(x, csr_array) else x * (p * (1 - p))
    product = x.T @ scaled
    dense = product.toarray() if isinstance(x, csr_array) else product
    return np.asarray(dense) + objective.l2 * np.eye(len(theta))
