"""The stored root of the Gauss-Newton matrix against the dense matrix, and when it does not fit."""

from __future__ import annotations

import pytest
import torch

from lacunar.core import masks, named
from lacunar.core.errors import NotApplicable
from lacunar.curvature.ggn_root import GgnRoot
from lacunar.curvature.objective import Objective
from lacunar.curvature.solvers.woodbury import FromRows, Woodbury
from tests.curvature.nets import CASE_IDS, CASES, N, net, some
from tests.oracles import curvature as oracle

LOGITS = 3


def random(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(3)
    return {n: torch.randn(w.shape, dtype=w.dtype, generator=g) for n, w in named.weights(model).items()}


@pytest.mark.parametrize(("name", "masked"), CASES, ids=CASE_IDS)
def test_its_products_are_those_of_the_dense_matrix(name, masked):
    model, examples, recipe = net(name)
    mask = some(model) if masked else None
    root, v = GgnRoot(Objective.of(model, examples, recipe, mask)), random(model)
    inside = named.flat(masks.full(v, True) if mask is None else mask)
    block = oracle.dense_ggn(model, examples, recipe) * inside * inside[:, None]
    assert torch.allclose(named.flat(root.back(root.times(v))), block @ named.flat(v), rtol=1e-9, atol=1e-12)
    a = torch.randn(N * LOGITS, dtype=torch.float64)
    assert torch.allclose(root.gram() @ a, root.times(root.back(a)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("damping", [1e-3, 1.0])
def test_woodbury_with_it_is_the_dense_solve(masked, damping):
    model, examples, recipe = net("conv_dilation")
    mask, b = some(model) if masked else None, random(model)
    inside = named.flat(masks.full(b, True) if mask is None else mask)
    assert int(inside.sum()) > N * LOGITS
    block = oracle.dense_ggn(model, examples, recipe)[inside][:, inside]
    block += damping * torch.eye(len(block), dtype=block.dtype)
    root = GgnRoot(Objective.of(model, examples, recipe, mask))
    for _ in range(2):  # a solve must leave the stored Gram matrix alone
        found = named.flat(Woodbury(1e-10).solve(FromRows(root), b, damping).need())
        assert torch.allclose(found[inside], torch.linalg.solve(block, named.flat(b)[inside]), rtol=1e-8)
        assert not found[~inside].any()


def test_what_does_not_fit_is_refused_with_what_it_would_take():
    model, examples, recipe = net("mlp")
    rows, width = N * LOGITS, named.count(named.weights(model))
    need = 8 * (rows * width + 3 * rows**2)
    assert GgnRoot(Objective.of(model, examples, recipe), keep=need).gram().shape == (rows, rows)
    with pytest.raises(NotApplicable, match=rf"matrices of {rows} x {width} and {rows} x {rows}, .* or \"cg\""):
        GgnRoot(Objective.of(model, examples, recipe), keep=need - 1)
