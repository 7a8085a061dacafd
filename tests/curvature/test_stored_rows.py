"""Stored rows: float64 products, whatever is cast at a time."""

import pytest
import torch

from lacunar.core import named
from lacunar.curvature import per_example, stored_rows
from lacunar.curvature.objective import Objective
from lacunar.curvature.stored_rows import StoredRows, outer
from tests.curvature.nets import net, some


@pytest.mark.parametrize("size", [1, 5, 128, 129, 400])
@pytest.mark.parametrize("room", [1, 1 << 30])
def test_outer_is_the_symmetric_product_in_float64(size, room):
    g = torch.randn(size, 9, generator=torch.Generator().manual_seed(size))
    found = outer(g, room)
    assert torch.allclose(found, g.double() @ g.double().T, rtol=1e-12, atol=1e-13)
    assert torch.equal(found, found.T)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("bytes_cast", [8, 8 << 20])
def test_products(masked, bytes_cast, monkeypatch):
    monkeypatch.setattr(stored_rows, "CAST_BYTES", bytes_cast)
    model, examples, recipe = net("conv")
    objective = Objective.of(model.float(), examples, recipe, some(model) if masked else None)
    rows = per_example.rows(objective)
    stored, v, exact = StoredRows(objective, rows), named.weights(model), rows.double()
    assert torch.allclose(stored.times(v), exact @ objective.vector(v).double(), rtol=1e-12)
    back = stored.back(stored.times(v))
    assert torch.allclose(objective.vector(back), exact.T @ (exact @ objective.vector(v).double()), rtol=1e-12)
    assert torch.allclose(stored.gram(), exact @ exact.T, rtol=1e-12)
