import math

import pytest
import torch

from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.curvature import per_example
from lacunar.curvature.ggn import GaussNewton
from lacunar.curvature.newton import CURVATURES
from lacunar.curvature.objective import Objective
from lacunar.curvature.solvers.cg import Cg, Products
from lacunar.curvature.solvers.lissa import Lissa
from tests.curvature.nets import N, net, some
from tests.curvature.solvers.test_cg import dense_solution
from tests.curvature.test_per_example import relative
from tests.oracles import curvature as oracle


def published(matrix, b, d, s, steps):
    """The recursion as published: u <- b + (1 - d) u - H u / s, then u / s."""
    u = b
    for _ in range(steps):
        u = b + (1 - d) * u - matrix @ u / s
    return u / s


@pytest.mark.parametrize("curvature", ["ggn", "hessian"])
def test_it_is_the_published_recursion_and_reaches_its_fixed_point(curvature):
    model, examples, recipe = net("mlp")
    objective = Objective.of(model, examples, recipe)
    b = per_example.weighted_sum(objective)
    matrix = (oracle.dense_ggn if curvature == "ggn" else oracle.dense_hessian)(model, examples, recipe)
    given = CURVATURES[curvature](objective)
    s, d = 1.1 * float(torch.linalg.matrix_norm(matrix, 2)), 0.6
    few = Lissa(1 / s, batch_size=N, max_iter=5, patience=10**6)
    by_hand = named.unflat(published(matrix, named.flat(b), d, s, 5), b)
    assert relative(few.solve(given, b, d * s).x, by_hand) < 1e-12
    many = Lissa(1 / s, batch_size=N, max_iter=100, patience=10**6, rtol=1e-9)
    found = many.solve(given, b, d * s)
    assert relative(found.need(), dense_solution(matrix, b, d * s)) < 1e-8


def test_in_a_mask():
    model, examples, recipe = net("mlp")
    mask = some(model)
    objective = Objective.of(model, examples, recipe)
    b = per_example.weighted_sum(objective)
    matrix = GaussNewton(Objective.of(model, examples, recipe, mask))
    found = Lissa(0.05, batch_size=N, max_iter=80, rtol=1e-8).solve(matrix, b, 5.0)
    expected = dense_solution(oracle.dense_ggn(model, examples, recipe), b, 5.0, mask)
    assert relative(found.need(), expected) < 1e-7


def test_normalisation_decides_whether_the_batch_size_matters():
    model, examples, recipe = net("mlp")
    objective = Objective.of(model, examples, recipe)
    b = per_example.weighted_sum(objective)
    matrix = oracle.dense_ggn(model, examples, recipe)
    whole = dense_solution(matrix, b, 5.0)
    data = Lissa(0.01, "data", batch_size=3, max_iter=150, patience=10**6, rtol=0.2)
    assert relative(data.solve(GaussNewton(objective), b, 5.0).need(), whole) < 0.1
    batch = Lissa(0.01, "batch", batch_size=3, max_iter=150, patience=10**6, rtol=0.2)
    found = batch.solve(GaussNewton(objective), b, 5.0).need()
    assert relative(found, whole) > 0.1
    assert relative(found, dense_solution(matrix / 3, b, 5.0)) < 0.1


def test_repetitions_are_averaged_and_counted():
    model, examples, recipe = net("mlp")
    objective = Objective.of(model, examples, recipe)
    b = per_example.weighted_sum(objective)
    one = Lissa(0.01, batch_size=3, max_iter=6, rtol=10.0)
    two = Lissa(0.01, batch_size=3, max_iter=6, repetitions=2, rtol=10.0)
    assert one.solve(GaussNewton(objective), b, 5.0).iterations == 6
    found = two.solve(GaussNewton(objective), b, 5.0)
    assert found.iterations == 12
    assert relative(found.x, one.solve(GaussNewton(objective), b, 5.0).x) > 1e-6


def test_divergence_is_not_a_result():
    model, examples, recipe = net("mlp")
    objective = Objective.of(model, examples, recipe)
    b = per_example.weighted_sum(objective)
    found = Lissa(10.0, batch_size=N).solve(GaussNewton(objective), b, 1.0)
    assert not found.converged and found.iterations < 100
    overflown = Lissa(1e100, batch_size=N).solve(GaussNewton(objective), b, 1.0)
    assert not overflown.converged and overflown.residual == math.inf
    with pytest.raises(NotApplicable, match="not solved"):
        found.need()


def test_stopping_early_is_not_a_result_either():
    model, examples, recipe = net("mlp")
    objective = Objective.of(model, examples, recipe)
    b = per_example.weighted_sum(objective)
    found = Lissa(1e-6, batch_size=N, max_iter=3).solve(GaussNewton(objective), b, 1.0)
    assert not found.converged and found.residual > 0.9


def test_conjugate_gradients_need_far_fewer_products():
    model, examples, recipe = net("residual")
    objective = Objective.of(model, examples, recipe)
    b = per_example.weighted_sum(objective)
    matrix = oracle.dense_ggn(model, examples, recipe)
    top = float(torch.linalg.matrix_norm(matrix, 2))
    damping = top / 20
    slow = Lissa(1 / top, batch_size=N, max_iter=200, rtol=1e-3).solve(GaussNewton(objective), b, damping)
    fast = Cg(1e-3).solve(Products(GaussNewton(objective)), b, damping)
    assert fast.converged and 6 * fast.iterations < slow.iterations


def test_settings_out_of_range():
    for settings in ({"step": 0.0}, {"step": 0.1, "repetitions": 0}):
        with pytest.raises(BadInput, match="step must be > 0 and repetitions >= 1"):
            Lissa(**settings)
    objective = Objective.of(*net("mlp"))
    with pytest.raises(BadInput, match="damping must be >= 0"):
        Lissa(0.1).solve(GaussNewton(objective), objective.weights, -1.0)
