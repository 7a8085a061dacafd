import pytest
import torch

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.curvature import ggn, hessian
from lacunar.curvature.objective import Objective
from lacunar.training import forward
from lacunar.training.recipe import Recipe
from tests.curvature.nets import CASE_IDS, CASES, CURVED, PIECEWISE, net, some
from tests.curvature.test_per_example import relative
from tests.oracles import curvature as oracle


@pytest.mark.parametrize(("name", "masked"), CASES, ids=CASE_IDS)
def test_products_equal_the_dense_matrix(name, masked):
    model, examples, recipe = net(name)
    mask = some(model) if masked else None
    weights = named.weights(model)
    inside = torch.ones(named.count(weights), dtype=torch.bool) if mask is None else named.flat(mask)
    block = oracle.dense_hessian(model, examples, recipe) * inside * inside[:, None]
    v = {n: torch.randn(w.shape, dtype=torch.float64) for n, w in weights.items()}
    for size in (None, 3):
        found = named.flat(hessian.Hessian(Objective.of(model, examples, recipe, mask, size=size))(v))
        assert torch.allclose(found, block @ named.flat(v), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", PIECEWISE)
def test_diagonal_of_piecewise_linear_nets_is_gauss_newton_and_says_so(name):
    model, examples, recipe = net(name)
    found = hessian.exact_diagonal(Objective.of(model, examples, recipe))
    exact = oracle.dense_hessian(model, examples, recipe).diagonal()
    assert "Gauss-Newton" in found.note and found.error is None
    assert float((named.flat(found.value) - exact).norm() / exact.norm()) < 1e-10
    assert all(bool((t >= 0).all()) for t in found.value.values())


@pytest.mark.parametrize("name", CURVED)
def test_diagonal_of_curved_nets_is_made_from_products(name):
    model, examples, recipe = net(name)
    mask = some(model)
    exact = oracle.dense_hessian(model, examples, recipe).diagonal() * named.flat(mask)
    found = hessian.exact_diagonal(Objective.of(model, examples, recipe, mask))
    assert "curved" in found.note
    assert torch.allclose(named.flat(found.value), exact, rtol=1e-9, atol=1e-12)
    gauss_newton = named.flat(ggn.exact_diagonal(Objective.of(model, examples, recipe, mask)))
    assert float((gauss_newton - exact).norm() / exact.norm()) > 1e-3


def test_a_large_curved_net_is_sent_elsewhere(monkeypatch):
    monkeypatch.setattr(hessian, "DENSE_WEIGHTS", 10)
    with pytest.raises(NotApplicable, match=r"not piecewise linear.*use hutchinson"):
        hessian.exact_diagonal(Objective.of(*net("gelu")))


def test_hutchinson_is_unbiased_and_knows_its_error():
    model, examples, recipe = net("gelu")
    exact = oracle.dense_hessian(model, examples, recipe).diagonal()
    found = hessian.hutchinson(Objective.of(model, examples, recipe), probes=200, seed=1)
    z = (named.flat(found.value) - exact) / named.flat(found.error)
    assert float(z.abs().max()) < 5
    assert 0.6 < float(z.square().mean()) < 1.5
    other = hessian.hutchinson(Objective.of(model, examples, recipe), probes=4, seed=2)
    assert named.norm(other.error) > 3 * named.norm(found.error)
    again = hessian.hutchinson(Objective.of(model, examples, recipe), probes=4, seed=2)
    assert all(torch.equal(again.value[n], other.value[n]) for n in other.value)


def test_hutchinson_inside_a_mask():
    model, examples, recipe = net("mlp")
    mask = some(model)
    exact = masks.keep(ggn.exact_diagonal(Objective.of(model, examples, recipe)), mask)
    found = hessian.hutchinson(Objective.of(model, examples, recipe, mask), probes=100)
    assert not any(bool(t[~mask[n]].any()) for n, t in found.value.items())
    assert relative(found.value, exact) < 0.8


def test_one_probe_has_no_error():
    with pytest.raises(BadInput, match="at least 2 probes"):
        hessian.hutchinson(Objective.of(*net("mlp")), probes=1)


def test_a_loss_without_curvature_has_a_zero_product(monkeypatch):
    # A linear net under a linear loss: the gradient does not depend on the weights.
    _, examples, _ = net("mlp")
    monkeypatch.setitem(forward.LOSSES, "linear", lambda z, y: z.sum(1))
    matrix = hessian.Hessian(Objective.of(torch.nn.Linear(5, 3).double(), examples, Recipe(loss="linear")))
    for t in matrix(matrix.objective.weights).values():
        assert not bool(t.any())
