"""The terms of Proposition 2."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from lacunar.auditing.trial import Trial
from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.core.rng import numpy_generator
from lacunar.data.examples import Examples
from lacunar.evaluators.distances.proposition2 import Proposition2, sharpness
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.training.recipe import Recipe
from lacunar.unlearning.method import Outcome
from lacunar.unlearning.problem import Problem
from tests.evaluators import toy


def build() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 3))  # 103 weights


def data(n: int = 40) -> Examples:
    g = torch.Generator().manual_seed(0)
    return Examples.of(torch.randn(n, 6, generator=g), torch.arange(n) % 3)


def some_mask(model: nn.Module) -> masks.Mask:
    g = torch.Generator().manual_seed(3)
    return {n: torch.rand(w.shape, generator=g) < 0.6 for n, w in named.weights(model).items()}


def dense_hessian(model: nn.Module, examples: Examples) -> torch.Tensor:
    """The Hessian of the mean loss, entry by entry from torch.autograd.functional."""
    model = model.double()
    like = named.weights(model)

    def loss(vector: torch.Tensor) -> torch.Tensor:
        weights = named.unflat(vector, like)
        z = torch.func.functional_call(model, weights, (examples.x.double(),))
        return nn.functional.cross_entropy(z, examples.y)

    return torch.autograd.functional.hessian(loss, named.flat(like))


@pytest.mark.parametrize("masked", [False, True])
def test_sharpness_is_the_spectral_norm_of_the_live_block(masked):
    torch.manual_seed(0)
    model, examples = build(), data()
    mask = some_mask(model) if masked else None
    found = sharpness(model, examples, Recipe(build), mask, numpy_generator(0))
    h = dense_hessian(model, examples)
    live = torch.ones(len(h), dtype=torch.bool) if mask is None else named.flat(mask)
    wanted = float(torch.linalg.matrix_norm(h[live][:, live], 2))
    assert found == pytest.approx(wanted, rel=1e-6)


def test_few_live_weights_are_taken_densely():
    torch.manual_seed(0)
    model, examples = build(), data()
    mask = masks.full(named.weights(model), False)
    mask["2.weight"][0, :5] = True
    found = sharpness(model, examples, Recipe(build), mask, numpy_generator(0))
    live = named.flat(mask)
    wanted = float(torch.linalg.matrix_norm(dense_hessian(model, examples)[live][:, live], 2))
    assert found == pytest.approx(wanted, rel=1e-9)


def case(mask: masks.Mask | None = None, schedule: str = "cosine") -> Trial:
    recipe = Recipe(build, epochs=3, lr=0.1, batch_size=16, schedule=schedule, precision="float32")
    examples = data()
    problem = Problem.of(recipe.fit(examples, 5, mask=mask), examples, [1, 4, 9], recipe, 5, device="cpu", mask=mask)
    return Trial(Outcome(problem, DoNothing(), problem.model, mask), examples)


@pytest.mark.parametrize("masked", [False, True])
def test_terms_by_hand(masked):
    mask = some_mask(build()) if masked else None
    trial = case(mask, "constant")
    problem, found = trial.outcome.problem, toy.values(Proposition2().measure([trial]))
    assert (found["prop2_rate"], found["prop2_steps"]) == (pytest.approx(0.1), 9)
    start = masks.keep(named.weights(problem.recipe.fresh(5)), mask)
    travel = named.norm(named.add(named.weights(problem.model), start, -1.0))
    assert found["prop2_travel"] == pytest.approx(travel, rel=1e-6)
    whole = data()
    again = problem.recipe.fit(whole, 5, skip=[1, 4, 9], mask=mask)
    error = named.norm(named.add(named.weights(problem.model), named.weights(again), -1.0))
    assert found["prop2_error"] == pytest.approx(error, rel=1e-6)
    assert found["prop2_scale"] == pytest.approx(0.1**2 * 9 * travel * found["prop2_sharpness"], rel=1e-5)
    assert found["prop2_floor"] > 0


def test_error_of_the_coupled_retraining_itself_is_zero_and_the_floor_is_not():
    trial = case()
    problem = trial.outcome.problem
    retrained = problem.recipe.fit(data(), 5, skip=[1, 4, 9])
    found = toy.values(Proposition2().measure([trial.seen_as(retrained)]))
    assert found["prop2_error"] == 0 and found["prop2_floor"] > 0


def test_rate_of_a_schedule_is_the_root_mean_square():
    found = toy.values(Proposition2().measure([case()]))
    rates = [0.05 * (1 + math.cos(math.pi * i / 9)) for i in range(9)]
    assert found["prop2_rate"] ** 2 * 9 == pytest.approx(sum(r**2 for r in rates))


def test_refusals():
    with pytest.raises(BadInput, match="examples must be at least 1"):
        Proposition2(0)
