"""What all curvature matrices share: counted products, and pieces that are stored once."""

from __future__ import annotations

import pytest
import torch

from lacunar.core import masks, named
from lacunar.core.errors import NotApplicable
from lacunar.curvature.edit_gradient import edit_gradient
from lacunar.curvature.ggn import GaussNewton
from lacunar.curvature.hessian import Hessian
from lacunar.curvature.newton import DAMPINGS, NewtonSystem
from lacunar.curvature.objective import Objective
from lacunar.curvature.solvers.cholesky import Cholesky
from lacunar.curvature.solvers.one_by_one import OneByOne
from lacunar.curvature.solvers.woodbury import Woodbury
from tests.curvature.nets import net, some
from tests.oracles import curvature as oracle


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_the_dense_hessian_costs_one_product_per_free_weight(masked):
    model, examples, recipe = net("gelu")
    mask = some(model) if masked else None
    matrix = Hessian(Objective.of(model, examples, recipe, mask))
    inside = named.flat(masks.full(named.weights(model), True) if mask is None else mask)
    whole = oracle.dense_hessian(model, examples, recipe)
    assert torch.allclose(matrix.dense, whole[inside][:, inside], rtol=1e-9, atol=1e-12)
    assert matrix.made == int(inside.sum()) == len(matrix.dense), "and it is stored"
    assert matrix.free is None if mask is None else torch.equal(named.flat(matrix.free), inside)


@pytest.mark.parametrize("kind", [GaussNewton, Hessian])
def test_the_diagonal_is_an_estimate_that_is_never_negative(kind):
    matrix = kind(Objective.of(*net("gelu")))
    assert all(bool((d >= 0).all()) for d in matrix.diagonal.values()) and named.norm(matrix.diagonal) > 0
    assert matrix.diagonal is matrix.diagonal and matrix.made == 0


@pytest.mark.parametrize("solver", [Cholesky(), Woodbury()])
def test_a_grid_stores_what_all_dampings_share_once(solver, monkeypatch):
    model, rows, recipe = net("mlp")
    objective, calls = Objective.of(model, rows, recipe), []
    gradient = edit_gradient(objective, None)
    for made in ("block", "factor"):
        original = getattr(GaussNewton, made)
        monkeypatch.setattr(GaussNewton, made, lambda self, of=original: calls.append(1) or of(self))
    assert len(NewtonSystem(GaussNewton(objective)).grid(gradient, OneByOne(solver))) == len(DAMPINGS)
    assert len(calls) == 1


def test_the_hessian_has_no_root():
    matrix = Hessian(Objective.of(*net("mlp")))
    with pytest.raises(NotApplicable, match='needs a root of the matrix, which the Hessian has not; use "cg"'):
        _ = matrix.root
