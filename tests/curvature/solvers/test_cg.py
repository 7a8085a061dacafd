"""Conjugate gradients against dense solves."""

import pytest
import torch

from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.curvature import ggn, hessian, per_example
from lacunar.curvature.objective import Objective
from lacunar.curvature.solvers.cg import Cg, Products
from tests.curvature.nets import N, net, some
from tests.curvature.test_per_example import relative
from tests.oracles import curvature as oracle


def dense_solution(matrix, b, damping, mask=None):
    inside = torch.ones(named.count(b), dtype=torch.bool) if mask is None else named.flat(mask)
    x = torch.zeros(named.count(b), dtype=torch.float64)
    block = matrix[inside][:, inside] + damping * torch.eye(int(inside.sum()), dtype=torch.float64)
    x[inside] = torch.linalg.solve(block, named.flat(b)[inside])
    return named.unflat(x, b)


def times(*diagonal: float) -> Products:
    """A diagonal matrix of one weight tensor."""
    return Products(lambda v: {"w": torch.tensor(diagonal) * v["w"]})


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("preconditioned", [False, True], ids=["plain", "jacobi"])
@pytest.mark.parametrize("damping", [1e-2, 1.0])
def test_conjugate_gradients_equal_the_dense_solve(masked, preconditioned, damping):
    model, examples, recipe = net("mlp")
    mask = some(model) if masked else None
    objective = Objective.of(model, examples, recipe)
    b = per_example.weighted_sum(objective)
    diagonal = ggn.exact_diagonal(objective) if preconditioned else None
    matrix = ggn.GaussNewton(Objective.of(model, examples, recipe, mask, size=3))
    found = Cg(1e-11).solve(Products(matrix, mask, diagonal), b, damping)
    expected = dense_solution(oracle.dense_ggn(model, examples, recipe), b, damping, mask)
    assert found.converged and found.measured and found.residual < 1e-10
    assert relative(found.need(), expected) < 1e-8
    if mask is not None:
        assert not any(bool(t[~mask[n]].any()) for n, t in found.x.items())
    # Exact arithmetic needs one product per distinct eigenvalue: at most 3 N + 1, plus the final check.
    assert preconditioned or damping < 1 or found.iterations <= 3 * N + 5


def test_the_order_of_keys_does_not_matter():
    # What is read from a safetensors file has its keys in alphabetical order.
    model, examples, recipe = net("mlp")
    mask = some(model)
    b = per_example.weighted_sum(Objective.of(model, examples, recipe))
    turned = lambda values: {name: values[name] for name in sorted(values)}  # noqa: E731
    found = []
    for order in (dict, turned):
        matrix = ggn.GaussNewton(Objective.of(model, examples, recipe, order(mask)))
        found.append(Cg(1e-11).solve(matrix, order(b), 0.1).need())
    assert relative(found[1], found[0]) < 1e-9


def test_the_preconditioner_pays_on_badly_scaled_weights():
    diagonal = torch.logspace(0, 5, 40, dtype=torch.float64)
    mixed = torch.linalg.qr(torch.randn(40, 40, dtype=torch.float64))[0] * 0.05 + torch.eye(40, dtype=torch.float64)
    matrix = diagonal.sqrt()[:, None] * (mixed @ mixed.T) * diagonal.sqrt()
    b = {"w": torch.randn(40, dtype=torch.float64)}
    product, solver = lambda v: {"w": matrix @ v["w"]}, Cg(1e-8, 500)
    plain = solver.solve(Products(product), b, 0.0)
    jacobi = solver.solve(Products(product, diagonal={"w": matrix.diagonal().clone()}), b, 0.0)
    assert jacobi.converged and jacobi.iterations < plain.iterations / 2


def test_float32_weights_reach_the_tolerance_they_can():
    model, examples, recipe = net("residual")
    objective = Objective.of(model.float(), examples, recipe)
    b = per_example.weighted_sum(objective)
    matrix = ggn.GaussNewton(objective)
    found = Cg(1e-4).solve(Products(matrix), b, 0.1)
    assert found.converged
    left = named.add(b, named.add(matrix(found.x), found.x, 0.1), -1.0)
    assert named.norm(left) / named.norm(b) == pytest.approx(found.residual, abs=1e-5)
    never = Cg(1e-16, 40).solve(Products(matrix), b, 0.1)
    assert not never.converged
    with pytest.raises(NotApplicable, match=r"not solved: relative residual .* after 40 iterations"):
        never.need()


def test_a_gradient_whose_entries_cancel_is_not_skipped_and_zero_is():
    found = Cg(1e-6).solve(times(2.0, 4.0), {"w": torch.tensor([1.0, -1.0])}, 0.0)
    assert torch.allclose(found.need()["w"], torch.tensor([0.5, -0.25]))
    nothing = Cg().solve(times(2.0, 4.0), {"w": torch.zeros(2)}, 0.0)
    assert nothing.converged and nothing.iterations == 0
    assert torch.equal(nothing.x["w"], torch.zeros(2))


def test_an_indefinite_matrix_is_refused_with_the_curvature_seen():
    b = {"w": torch.tensor([0.0, 1.0])}
    with pytest.raises(NotApplicable, match=r"indefinite: curvature -3 .* raise the damping above 3"):
        Cg().solve(times(1.0, -3.0), b, 0.5)
    assert Cg().solve(times(1.0, -3.0), b, 3.5).converged


def test_the_hessian_of_a_trained_net_needs_more_damping_than_gauss_newton():
    model, examples, recipe = net("gelu")
    objective = Objective.of(model, examples, recipe)
    b = per_example.weighted_sum(objective)
    least = float(torch.linalg.eigvalsh(oracle.dense_hessian(model, examples, recipe))[0])
    assert least < 0
    with pytest.raises(NotApplicable, match="indefinite"):
        Cg(1e-12).solve(hessian.Hessian(objective), b, 1e-6)
    good = Cg(1e-10).solve(hessian.Hessian(objective), b, 2 * abs(least))
    expected = dense_solution(oracle.dense_hessian(model, examples, recipe), b, 2 * abs(least))
    assert relative(good.need(), expected) < 1e-8
    assert Cg(1e-6).solve(ggn.GaussNewton(objective), b, 1e-6).converged


def test_order_and_batches_change_no_solution():
    model, examples, recipe = net("residual")
    whole = Objective.of(model, examples, recipe)
    turned = Objective.of(model, examples.take(torch.tensor([6, 2, 4, 0, 5, 1, 3])), recipe, size=3)
    b = per_example.weighted_sum(whole)
    one, two = (Cg(1e-11).solve(ggn.GaussNewton(of), b, 0.1).need() for of in (whole, turned))
    assert relative(two, one) < 1e-9


def test_settings_out_of_range():
    with pytest.raises(BadInput, match="damping must be >= 0"):
        Cg().solve(times(1.0, 1.0), {"w": torch.ones(2)}, -1.0)
    for settings in ({"rtol": 0.0}, {"max_iter": 0}):
        with pytest.raises(BadInput, match="rtol must be > 0 and max_iter >= 1"):
            Cg(**settings)
