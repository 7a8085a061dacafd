import pytest
import torch

from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.curvature import ggn, hessian, per_example
from lacunar.curvature.inverse import Solution, cg, cholesky, woodbury
from lacunar.curvature.per_example import GradientRows
from tests.curvature.nets import N, net, some
from tests.curvature.test_per_example import relative
from tests.oracles import curvature as oracle


def dense_solution(matrix, b, damping, mask=None):
    inside = torch.ones(named.count(b), dtype=torch.bool) if mask is None else named.flat(mask)
    x = torch.zeros(named.count(b), dtype=torch.float64)
    block = matrix[inside][:, inside] + damping * torch.eye(int(inside.sum()), dtype=torch.float64)
    x[inside] = torch.linalg.solve(block, named.flat(b)[inside])
    return named.unflat(x, b)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("preconditioned", [False, True], ids=["plain", "jacobi"])
@pytest.mark.parametrize("damping", [1e-2, 1.0])
def test_conjugate_gradients_equal_the_dense_solve(masked, preconditioned, damping):
    model, examples, recipe = net("mlp")
    mask = some(model) if masked else None
    b = per_example.weighted_sum(model, examples, recipe)
    diagonal = ggn.exact_diagonal(model, examples, recipe) if preconditioned else None
    operator = ggn.Operator(model, examples, recipe, mask, size=3)
    found = cg(operator, b, damping, diagonal=diagonal, mask=mask, rtol=1e-11)
    expected = dense_solution(oracle.dense_ggn(model, examples, recipe), b, damping, mask)
    assert found.converged and found.residual < 1e-10
    assert relative(found.need(), expected) < 1e-8
    if mask is not None:
        assert not any(bool(t[~mask[n]].any()) for n, t in found.x.items())
    # Exact arithmetic needs one product per distinct eigenvalue: at most 3 N + 1, plus the final check.
    assert preconditioned or damping < 1 or found.iterations <= 3 * N + 5


def test_the_order_of_keys_does_not_matter():
    # What is read from a safetensors file has its keys in alphabetical order.
    model, examples, recipe = net("mlp")
    mask, diagonal = some(model), ggn.exact_diagonal(model, examples, recipe)
    b = per_example.weighted_sum(model, examples, recipe)
    turned = lambda values: {name: values[name] for name in sorted(values)}  # noqa: E731
    block = ggn.dense(model, examples, recipe, mask)
    found = []
    for order in (dict, turned):
        operator = ggn.Operator(model, examples, recipe, order(mask))
        found.append(cg(operator, order(b), 0.1, diagonal=diagonal, mask=order(mask), rtol=1e-11).need())
        found.append(cholesky(block, b, 0.1, mask=order(mask)).need())
    for x in found[1:]:
        assert relative(x, found[0]) < 1e-9


def test_the_preconditioner_pays_on_badly_scaled_weights():
    diagonal = torch.logspace(0, 5, 40, dtype=torch.float64)
    mixed = torch.linalg.qr(torch.randn(40, 40, dtype=torch.float64))[0] * 0.05 + torch.eye(40, dtype=torch.float64)
    matrix = diagonal.sqrt()[:, None] * (mixed @ mixed.T) * diagonal.sqrt()
    b = {"w": torch.randn(40, dtype=torch.float64)}
    times = lambda v: {"w": matrix @ v["w"]}  # noqa: E731
    plain = cg(times, b, 0.0, rtol=1e-8, max_iter=500)
    jacobi = cg(times, b, 0.0, rtol=1e-8, max_iter=500, diagonal={"w": matrix.diagonal().clone()})
    assert jacobi.converged and jacobi.iterations < plain.iterations / 2


def test_float32_weights_reach_the_tolerance_they_can():
    model, examples, recipe = net("residual")
    model = model.float()
    b = per_example.weighted_sum(model, examples, recipe)
    operator = ggn.Operator(model, examples, recipe)
    found = cg(operator, b, 0.1, rtol=1e-4)
    assert found.converged
    left = named.add(b, named.add(operator(found.x), found.x, 0.1), -1.0)
    assert named.norm(left) / named.norm(b) == pytest.approx(found.residual, abs=1e-5)
    never = cg(operator, b, 0.1, rtol=1e-16, max_iter=40)
    assert not never.converged
    with pytest.raises(NotApplicable, match=r"not solved: relative residual .* after 40 iterations"):
        never.need()


def test_a_gradient_whose_entries_cancel_is_not_skipped_and_zero_is():
    times = lambda v: {"w": torch.tensor([2.0, 4.0]) * v["w"]}  # noqa: E731
    found = cg(times, {"w": torch.tensor([1.0, -1.0])}, 0.0, rtol=1e-6)
    assert torch.allclose(found.need()["w"], torch.tensor([0.5, -0.25]))
    nothing = cg(times, {"w": torch.zeros(2)}, 0.0)
    assert nothing.converged and nothing.iterations == 0
    assert torch.equal(nothing.x["w"], torch.zeros(2))


def test_an_indefinite_matrix_is_refused_with_the_curvature_seen():
    times = lambda v: {"w": torch.tensor([1.0, -3.0]) * v["w"]}  # noqa: E731
    b = {"w": torch.tensor([0.0, 1.0])}
    with pytest.raises(NotApplicable, match=r"indefinite: curvature -3 .* raise the damping above 3"):
        cg(times, b, 0.5)
    assert cg(times, b, 3.5).converged


def test_the_hessian_of_a_trained_net_needs_more_damping_than_gauss_newton():
    model, examples, recipe = net("gelu")
    b = per_example.weighted_sum(model, examples, recipe)
    least = float(torch.linalg.eigvalsh(oracle.dense_hessian(model, examples, recipe))[0])
    assert least < 0
    with pytest.raises(NotApplicable, match="indefinite"):
        cg(hessian.Operator(model, examples, recipe), b, 1e-6, rtol=1e-12)
    good = cg(hessian.Operator(model, examples, recipe), b, 2 * abs(least), rtol=1e-10)
    expected = dense_solution(oracle.dense_hessian(model, examples, recipe), b, 2 * abs(least))
    assert relative(good.need(), expected) < 1e-8
    assert cg(ggn.Operator(model, examples, recipe), b, 1e-6, rtol=1e-6).converged


def test_order_and_batches_change_no_solution():
    model, examples, recipe = net("residual")
    b = per_example.weighted_sum(model, examples, recipe)
    turned = examples.take(torch.tensor([6, 2, 4, 0, 5, 1, 3]))
    one = cg(ggn.Operator(model, examples, recipe), b, 0.1, rtol=1e-11).need()
    two = cg(ggn.Operator(model, turned, recipe, size=3), b, 0.1, rtol=1e-11).need()
    assert relative(two, one) < 1e-9
    first, second = (woodbury(GradientRows(model, e, recipe), b, 0.1).need() for e in (examples, turned))
    assert relative(second, first) < 1e-10


@pytest.mark.parametrize("keep", [None, 0], ids=["stored", "recomputed"])
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("damping", [1e-3, 1.0])
def test_woodbury_equals_the_dense_solve(damping, masked, keep):
    model, examples, recipe = net("residual")
    mask = some(model) if masked else None
    flat = torch.stack([named.flat(g) for g in oracle.gradients(model, examples, recipe)])
    b = {n: torch.randn(w.shape, dtype=torch.float64) for n, w in named.weights(model).items()}
    found = woodbury(GradientRows(model, examples, recipe, mask, keep), b, damping)
    expected = dense_solution(flat.T @ flat, b, damping, mask)
    assert relative(found.need(), expected) < 1e-8


def test_refinement_rescues_float32_and_the_residual_is_checked():
    model, examples, recipe = net("residual")
    model = model.float()
    b = {n: torch.randn_like(w) for n, w in named.weights(model).items()}
    rows = GradientRows(model, examples, recipe)
    found = woodbury(rows, b, 1e-3)
    assert found.converged and found.residual <= 1e-4
    hopeless = woodbury(rows, b, 1e-9)
    assert not hopeless.converged
    with pytest.raises(NotApplicable, match="raise the damping"):
        hopeless.need()


def test_large_damping_is_a_scaled_gradient():
    model, examples, recipe = net("mlp")
    b = per_example.weighted_sum(model, examples, recipe)
    x = woodbury(GradientRows(model, examples, recipe), b, 1e8).need()
    assert relative(named.scale(x, 1e8), b) < 1e-5


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_cholesky_of_a_small_block(masked):
    model, examples, recipe = net("mlp")
    mask = some(model) if masked else None
    b = per_example.weighted_sum(model, examples, recipe)
    found = cholesky(ggn.dense(model, examples, recipe, mask), b, 0.1, mask=mask)
    expected = dense_solution(oracle.dense_ggn(model, examples, recipe), b, 0.1, mask)
    assert relative(found.need(), expected) < 1e-10


def test_cholesky_says_what_does_not_fit():
    b = {"w": torch.ones(2)}
    with pytest.raises(BadInput, match="for 2 selected weights"):
        cholesky(torch.eye(3), b, 0.1)
    with pytest.raises(NotApplicable, match="not positive definite"):
        cholesky(torch.tensor([[1.0, 0.0], [0.0, -1.0]]), b, 0.1)


def test_settings_out_of_range():
    b = {"w": torch.ones(2)}
    with pytest.raises(BadInput, match="damping must be >= 0"):
        cg(lambda v: v, b, -1.0)
    with pytest.raises(BadInput, match="rtol must be > 0"):
        cg(lambda v: v, b, 1.0, rtol=0.0)
    model, examples, recipe = net("mlp")
    with pytest.raises(BadInput, match="damping must be > 0"):
        woodbury(GradientRows(model, examples, recipe), named.weights(model), 0.0)


def test_a_solution_that_did_not_converge_is_no_result():
    with pytest.raises(NotApplicable, match=r"relative residual 0.5 after 3 iterations"):
        Solution({}, 3, 0.5, False).need()
