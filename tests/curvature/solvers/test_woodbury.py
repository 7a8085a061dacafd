"""The direct solve from few rows against dense solves."""

import pytest
import torch

from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.curvature import per_example
from lacunar.curvature.gradient_rows import GradientRows
from lacunar.curvature.objective import Objective
from lacunar.curvature.solvers.cg import Cg
from lacunar.curvature.solvers.woodbury import FromRows, Woodbury
from tests.curvature.nets import net, some
from tests.curvature.solvers.test_cg import dense_solution
from tests.curvature.test_per_example import relative
from tests.oracles import curvature as oracle


@pytest.mark.parametrize("keep", [None, 0], ids=["stored", "recomputed"])
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("damping", [1e-3, 1.0])
def test_woodbury_equals_the_dense_solve(damping, masked, keep):
    model, examples, recipe = net("residual")
    mask = some(model) if masked else None
    flat = torch.stack([named.flat(g) for g in oracle.gradients(model, examples, recipe)])
    b = {n: torch.randn(w.shape, dtype=torch.float64) for n, w in named.weights(model).items()}
    matrix = FromRows(GradientRows(Objective.of(model, examples, recipe, mask), keep))
    expected = dense_solution(flat.T @ flat, b, damping, mask)
    assert relative(Woodbury().solve(matrix, b, damping).need(), expected) < 1e-8
    assert relative(Cg(1e-11).solve(matrix, b, damping).need(), expected) < 1e-8


def test_the_order_of_examples_changes_no_solution():
    model, examples, recipe = net("residual")
    turned = examples.take(torch.tensor([6, 2, 4, 0, 5, 1, 3]))
    b = per_example.weighted_sum(Objective.of(model, examples, recipe))
    matrices = [FromRows(GradientRows(Objective.of(model, e, recipe))) for e in (examples, turned)]
    first, second = (Woodbury().solve(matrix, b, 0.1).need() for matrix in matrices)
    assert relative(second, first) < 1e-10


def test_float32_rows_serve_little_damping_and_the_residual_is_checked():
    model, examples, recipe = net("residual")
    model = model.float()
    b = {n: torch.randn_like(w) for n, w in named.weights(model).items()}
    matrix = FromRows(GradientRows(Objective.of(model, examples, recipe)))
    found = Woodbury().solve(matrix, b, 1e-6)
    assert found.converged and found.residual <= 1e-7, "products are float64, which float32 rows do not spoil"
    hopeless = Woodbury().solve(matrix, b, 1e-13)
    assert not hopeless.converged
    with pytest.raises(NotApplicable, match="raise the damping"):
        hopeless.need()


def test_large_damping_is_a_scaled_gradient():
    objective = Objective.of(*net("mlp"))
    b = per_example.weighted_sum(objective)
    x = Woodbury().solve(FromRows(GradientRows(objective)), b, 1e8).need()
    assert relative(named.scale(x, 1e8), b) < 1e-5


def test_settings_out_of_range():
    objective = Objective.of(*net("mlp"))
    with pytest.raises(BadInput, match="damping must be > 0"):
        Woodbury().solve(FromRows(GradientRows(objective)), objective.weights, 0.0)
    for settings in ({"rtol": 0.0}, {"refinements": -1}):
        with pytest.raises(BadInput, match="rtol must be > 0 and refinements >= 0"):
            Woodbury(**settings)
