"""Rows of a Linear layer from its factors against rows that are written out."""

import pytest
import torch

from lacunar.curvature.linear_rows import LinearRows
from lacunar.curvature.objective import HOST_BYTES, Objective
from lacunar.curvature.per_example_passes import Factors
from tests.curvature.nets import N, net, some


def layer(bias, masked):
    model, examples, recipe = net("mlp")
    objective = Objective.of(model, examples, recipe, some(model) if masked else None)
    g = torch.Generator().manual_seed(2)
    delta, a = torch.randn(N, 1, 6, generator=g), torch.randn(N, 5, generator=g)
    chunks = [Factors("0.weight", "0.bias" if bias else None, delta[cut], a[cut]) for cut in (slice(3), slice(3, N))]
    rows = LinearRows.of(objective, chunks)
    written = {"0.weight": torch.einsum("no,ni->noi", delta[:, 0].double(), a.double()), "0.bias": delta[:, 0].double()}
    if masked:
        written = {name: t.masked_fill(~objective.free[name], 0.0) for name, t in written.items()}
    return rows, {name: written[name] for name in ("0.weight", *["0.bias"] * bias)}


@pytest.mark.parametrize("room", [1, HOST_BYTES])
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("bias", [False, True])
def test_they_are_the_rows_written_out(bias, masked, room, monkeypatch):
    monkeypatch.setattr("lacunar.curvature.objective.HOST_BYTES", room)
    rows, written = layer(bias, masked)
    flat = torch.cat([t.flatten(1) for t in written.values()], 1)
    assert torch.allclose(rows.gram(), flat @ flat.T, rtol=1e-12, atol=1e-13)
    v = {name: torch.randn(t.shape[1:], dtype=torch.float64) for name, t in written.items()}
    outside = {"0.weight": torch.zeros(6, 5), "0.bias": torch.zeros(6)} | v
    assert torch.allclose(rows.times(outside), flat @ torch.cat([v[name].flatten() for name in written]), rtol=1e-11)
    a = torch.randn(N, dtype=torch.float64)
    back = rows.back(a)
    assert set(back) == set(written)
    assert all(torch.allclose(back[name], torch.tensordot(a, t, 1), rtol=1e-12) for name, t in written.items())
