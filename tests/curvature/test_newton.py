"""Newton systems against dense matrices and retrained solutions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lacunar.core import masks, named
from lacunar.core.errors import NotApplicable
from lacunar.curvature import ggn
from lacunar.curvature.edit_gradient import edit_gradient
from lacunar.curvature.ggn import GaussNewton
from lacunar.curvature.hessian import Hessian
from lacunar.curvature.newton import CURVATURES, DAMPINGS, NewtonSystem
from lacunar.curvature.objective import Objective
from lacunar.curvature.solvers.cg import Cg
from lacunar.curvature.solvers.cholesky import Cholesky
from lacunar.curvature.solvers.diagonal import Diagonal
from lacunar.curvature.solvers.multi_shift_cg import MultiShiftCg
from lacunar.curvature.solvers.one_by_one import OneByOne
from lacunar.curvature.solvers.woodbury import Woodbury
from lacunar.data import corrections
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe
from tests.curvature import nets
from tests.curvature.test_edit_gradient import close
from tests.oracles import curvature as oracle


def dense_solution(objective, gradient, damping, curvature):
    dense = oracle.dense_ggn if curvature == "ggn" else oracle.dense_hessian
    rows, recipe = objective.examples, objective.recipe
    matrix = dense(objective.model, rows, recipe)
    inside = named.flat(masks.full(gradient, True) if objective.free is None else objective.free)
    alpha = len(rows) * (recipe.weight_decay + damping)
    block = matrix[inside][:, inside] + alpha * torch.eye(int(inside.sum()), dtype=matrix.dtype)
    x = torch.zeros(len(inside), dtype=torch.float64)
    x[inside] = torch.linalg.solve(block, named.flat(gradient)[inside])
    return named.unflat(x, gradient)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize(
    ("curvature", "damping", "solver"),
    [
        ("ggn", 0.01, Cg(1e-11, 500)),
        ("ggn", 0.01, Cholesky()),
        ("ggn", 0.01, Woodbury(1e-11)),
        ("hessian", 2.0, Cg(1e-11, 500)),
        ("hessian", 2.0, Cholesky()),
    ],
)
def test_newton_systems_are_solved(curvature, damping, solver, masked):
    model, rows, recipe = nets.net("gelu")
    objective = Objective.of(model, rows, recipe, nets.some(model) if masked else None)
    gradient = edit_gradient(objective, None)
    found = NewtonSystem(CURVATURES[curvature](objective)).solved(gradient, damping, solver)
    assert found.converged
    assert close(found.x, dense_solution(objective, gradient, damping, curvature), 1e-8)


@pytest.mark.parametrize(
    ("curvature", "solver"),
    [
        ("ggn", MultiShiftCg(1e-10, 500)),
        ("ggn", OneByOne(Woodbury(1e-10))),
        ("hessian", OneByOne(Cg(1e-10, 500))),
        ("hessian", OneByOne(Cholesky())),
    ],
)
def test_the_grid_is_each_damping_by_itself(curvature, solver):
    model, rows, recipe = nets.net("mlp")
    objective = Objective.of(model, rows, recipe)
    gradient = edit_gradient(objective, None)
    found = dict(NewtonSystem(CURVATURES[curvature](objective)).grid(gradient, solver))
    assert 10.0 in found and (curvature == "hessian" or set(found) == set(DAMPINGS))
    for mu, solution in found.items():
        assert close(solution.x, dense_solution(objective, gradient, mu, curvature), 1e-6)


def test_a_solution_of_the_grid_is_measured_and_found_again_if_it_had_drifted():
    model, rows, recipe = nets.net("mlp")
    objective = Objective.of(model, rows, recipe)
    gradient, system = edit_gradient(objective, None), NewtonSystem(GaussNewton(objective))
    found = dict(system.grid(gradient, MultiShiftCg(1e-6, 500)))
    assert system.matrix.made == found[1e-3].iterations > found[10.0].iterations > 0
    good = found[0.1]
    kept = system.checked(gradient, 0.1, good, Cg(1e-6, 500), 1e-6)
    assert system.matrix.made == found[1e-3].iterations + 1
    assert kept.x is good.x and 0 < kept.residual <= 2e-6 and kept.iterations == good.iterations + 1
    assert not good.measured and kept.measured
    assert system.checked(gradient, 0.1, kept, Cg(), 1e-9) is kept
    bad = replace(good, x=named.scale(good.x, 1.01))
    again = system.checked(gradient, 0.1, bad, Cg(1e-6, 500), 1e-6)
    assert again.converged and close(again.x, good.x, 1e-5)


def test_a_grid_without_a_solution_is_an_error():
    model, rows, recipe = nets.net("mlp")
    objective = Objective.of(model, rows, recipe)
    gradient = edit_gradient(objective, None)
    with pytest.raises(NotApplicable, match="was not solved"):
        NewtonSystem(GaussNewton(objective)).grid(gradient, MultiShiftCg(1e-14, 1))
    named.write(model, named.scale(named.weights(model), 30.0))
    far = Objective.of(model, rows, replace(recipe, weight_decay=0.0))
    with pytest.raises(NotApplicable, match="not positive definite"):
        NewtonSystem(Hessian(far)).solved(gradient, 0.0, Cholesky())


def test_the_diagonal_control_divides_by_the_diagonal():
    model, rows, recipe = nets.net("mlp")
    objective = Objective.of(model, rows, recipe)
    gradient, system = edit_gradient(objective, None), NewtonSystem(GaussNewton(objective))
    found = system.solved(gradient, 0.5, Diagonal())
    diagonal, alpha = ggn.diagonal(objective), len(rows) * (recipe.weight_decay + 0.5)
    assert close(found.x, {name: g / (diagonal[name] + alpha) for name, g in gradient.items()})
    assert len(system.grid(gradient, OneByOne(Diagonal()))) == len(DAMPINGS)


@pytest.mark.parametrize("deleted", [False, True], ids=["corrected", "deleted"])
def test_one_step_on_a_quadratic_is_the_retrained_solution(deleted):
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(30, 4, generator=g).double(), torch.randn(30, 1, generator=g).double()
    train, recipe = Examples.of(x, y), Recipe(loss="squared_error", weight_decay=0.05)

    def ridge(examples: Examples) -> Tensor:
        a = examples.x.T @ examples.x + len(examples) * 0.05 * torch.eye(4).double()
        return torch.linalg.solve(a, examples.x.T @ examples.y)

    model = nn.Linear(4, 1, bias=False).double()
    named.write(model, {"weight": ridge(train).T})
    forget = train.where(range(6))
    corrected = None if deleted else corrections.zero_features(forget, [2])
    after = train.without(range(6)) if deleted else train.without(range(6)) + corrected
    objective = Objective.of(model, after, recipe)
    gradient = edit_gradient(objective.on(forget), corrected)
    step = NewtonSystem(GaussNewton(objective)).solved(gradient, 0.0, Cg(1e-12)).x
    assert torch.allclose(model.weight - step["weight"], ridge(after).T, atol=1e-8)


def test_the_scale_is_that_of_the_sum_whatever_the_batch():
    # Traps 2 and 3: a dropped last batch, and damping that depends on the batch size.
    model, rows, recipe = nets.net("residual")
    gradient = edit_gradient(Objective.of(model, rows, recipe), None)

    def solved(examples, right, size=None):
        matrix = GaussNewton(Objective.of(model, examples, recipe, size=size))
        return NewtonSystem(matrix).solved(right, 0.1, Cg(1e-10)).x

    whole = solved(rows, gradient)
    assert close(solved(rows, gradient, size=3), whole)
    twice = Examples.of(torch.cat([rows.x] * 2), torch.cat([rows.y] * 2))
    assert close(solved(twice, named.scale(gradient, 2.0)), whole)
