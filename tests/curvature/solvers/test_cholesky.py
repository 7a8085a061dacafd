"""The direct solve of a small block against dense solves."""

from dataclasses import dataclass

import pytest
import torch

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.curvature import ggn, per_example
from lacunar.curvature.objective import Objective
from lacunar.curvature.solvers.cholesky import Cholesky
from tests.curvature.nets import net, some
from tests.curvature.solvers.test_cg import dense_solution
from tests.curvature.test_per_example import relative
from tests.oracles import curvature as oracle


@dataclass
class Block:
    dense: torch.Tensor
    free: dict[str, torch.Tensor] | None = None


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_cholesky_of_a_small_block(masked):
    model, examples, recipe = net("mlp")
    mask = some(model) if masked else None
    b = per_example.weighted_sum(Objective.of(model, examples, recipe))
    found = Cholesky().solve(ggn.GaussNewton(Objective.of(model, examples, recipe, mask)), b, 0.1)
    expected = dense_solution(oracle.dense_ggn(model, examples, recipe), b, 0.1, mask)
    assert relative(found.need(), expected) < 1e-10


def test_the_order_of_keys_does_not_matter():
    model, examples, recipe = net("mlp")
    mask = some(model)
    objective = Objective.of(model, examples, recipe, mask)
    b, dense = per_example.weighted_sum(objective), ggn.GaussNewton(objective).dense
    turned = {name: mask[name] for name in sorted(mask)}
    one, two = (Cholesky().solve(Block(dense, order), b, 0.1).need() for order in (mask, turned))
    assert relative(two, one) < 1e-12


def test_what_does_not_fit_is_said():
    b = {"w": torch.ones(2)}
    with pytest.raises(BadInput, match="for 2 selected weights"):
        Cholesky().solve(Block(torch.eye(3)), b, 0.1)
    with pytest.raises(NotApplicable, match="not positive definite"):
        Cholesky().solve(Block(torch.tensor([[1.0, 0.0], [0.0, -1.0]])), b, 0.1)
    with pytest.raises(BadInput, match="damping must be >= 0"):
        Cholesky().solve(Block(torch.eye(2)), b, -0.1)


def test_it_is_for_few_weights_and_stores_nothing_for_more():
    objective = Objective.of(*net("mlp"))
    matrix = ggn.GaussNewton(objective)
    with pytest.raises(NotApplicable, match='at most 10 weights, not 79; use "cg"'):
        Cholesky(most=10).solve(matrix, objective.weights, 0.1)
    assert "dense" not in vars(matrix)
