"""The convex loss of regression where the model is very sure, and its Newton steps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from lacunar.exact_unlearners._linear import ConvexLoss, newton

SURE = 1e4


@pytest.mark.parametrize("outputs", [1, 2])
def test_certified_objectives_of_sure_models_are_finite(outputs):
    x, y = np.array([[1.0], [1.0], [-1.0], [-1.0]]), np.array([1, 0, 0, 1])
    theta = np.array([[SURE]]) if outputs == 1 else np.array([[-SURE, SURE]]) / 2
    objective = ConvexLoss(x, y, 1e-12, np.zeros_like(theta), np.ones(1, dtype=bool))
    gradient = objective.gradient(theta)
    # Two rows are wrong: one asks for less of the only column, the other, at -1, asks for less as well.
    assert gradient[:, -1] == pytest.approx([2.0])
    assert np.isfinite(objective.newton_step(theta, np.zeros_like(theta))).all()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("rows", [np.asarray, csr_array], ids=["dense", "sparse"])
def test_newton_steps_reach_a_point_without_gradient(classes, rows):
    rng = np.random.default_rng(0)
    x, y, width = rng.standard_normal((40, 5)), rng.integers(0, classes, 40), 1 if classes == 2 else classes
    loss = ConvexLoss(rows(x), y, 0.5, np.zeros((5, width)), np.array([True, True, False, True, True]))
    loss = loss.without_columns([0])
    theta, reached = newton(loss, np.ones((5, width)), 1e-9, 20)
    assert reached <= 1e-9 and np.linalg.norm(loss.gradient(theta)) <= 1e-9
    assert not theta[[0, 2]].any(), "removed columns stay at the start"
    bumped = theta + 1e-3 * np.array([0, 1, 0, 1, 1])[:, None]
    assert np.allclose(bumped - loss.newton_step(bumped, loss.gradient(bumped)), theta, atol=1e-5)
