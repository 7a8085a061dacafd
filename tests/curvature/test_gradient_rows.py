"""Per-example gradients as an operator: stored as factors, as rows or not at all, and the same each time."""

import pytest
import torch

from lacunar.core import masks, named
from lacunar.curvature import per_example
from lacunar.curvature.gradient_rows import GradientRows
from lacunar.curvature.objective import Objective
from tests.curvature.nets import CASE_IDS, CASES, N, net, some
from tests.curvature.test_per_example import relative
from tests.oracles import curvature as oracle


@pytest.mark.parametrize("keep", [None, 0], ids=["stored", "recomputed"])
@pytest.mark.parametrize(("name", "masked"), CASES, ids=CASE_IDS)
def test_products_are_those_of_the_loop_of_one(name, masked, keep):
    model, examples, recipe = net(name)
    mask = some(model) if masked else None
    flat = torch.stack([named.flat(masks.keep(g, mask)) for g in oracle.gradients(model, examples, recipe)])
    rows = GradientRows(Objective.of(model, examples, recipe, mask, size=3), keep)
    v = {n: torch.randn(w.shape, dtype=torch.float64) for n, w in named.weights(model).items()}
    a = torch.randn(N, dtype=torch.float64)
    assert len(rows) == N and (rows.free is None) == (mask is None)
    assert torch.allclose(rows.gram(), flat @ flat.T, rtol=1e-10)
    assert torch.allclose(rows.times(v), flat @ named.flat(v), rtol=1e-10)
    assert torch.allclose(named.flat(rows.back(a)), a @ flat, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", ["mlp", "conv", "residual"])
def test_products_with_stored_float32_rows_are_float64(name):
    model, examples, recipe = net(name)
    rows = GradientRows(Objective.of(model.float(), examples, recipe))
    v, a = named.weights(model), torch.randn(N, dtype=torch.float64)
    stored = torch.stack([named.flat(rows.back(unit)) for unit in torch.eye(N, dtype=torch.float64)])
    assert stored.dtype == torch.float64
    assert torch.allclose(rows.times(v), stored @ named.flat(v).double(), rtol=1e-12)
    assert torch.allclose(named.flat(rows.back(a)), a @ stored, rtol=1e-12, atol=1e-14)
    assert torch.allclose(rows.gram(), stored @ stored.T, rtol=1e-12)
    exact = oracle.gradients(model.double(), examples, recipe)
    assert float((stored - torch.stack([named.flat(g) for g in exact])).norm() / stored.norm()) < 1e-6


@pytest.mark.parametrize("fits", [True, False])
def test_linear_layers_take_the_memory_of_their_factors(fits, monkeypatch):
    model, examples, recipe = net("mlp")
    objective = Objective.of(model, examples, recipe)
    monkeypatch.setattr("lacunar.curvature.gradient_rows.directional", lambda *_: pytest.fail("it was not stored"))
    inputs_and_outputs = (5 + 6) + (6 + 4) + (4 + 3)
    rows = GradientRows(objective, keep=8 * N * inputs_and_outputs - (not fits))
    if fits:
        assert relative(rows.back(torch.ones(N)), per_example.weighted_sum(objective)) < 1e-12
        rows.times(objective.weights)
    else:
        with pytest.raises(pytest.fail.Exception):
            rows.times(objective.weights)
