from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from lacunar.auditing.memory import Memory
from lacunar.auditing.trial import Trial
from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.data.examples import Examples
from lacunar.evaluators.traces.relearn_speed import RelearnSpeed
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.training.recipe import Recipe
from lacunar.unlearning.method import Outcome
from lacunar.unlearning.problem import Problem
from tests import problems


def learnable() -> tuple[Problem, nn.Module]:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(40, 8, generator=g)
    train = Examples.of(x, torch.randint(0, 2, (40,), generator=g))
    recipe = Recipe(lambda: nn.Linear(8, 2), epochs=200, lr=0.5, batch_size=10, weight_decay=0.0, precision="float32")
    model = recipe.fit(train.where(range(8)), 0)
    return problems.parted(model, train.without(range(8)), train.where(range(8)), recipe), recipe.fresh(3)


def test_relearning_takes_steps_and_hiding_takes_fewer():
    problem, fresh = learnable()
    trial = Trial(DoNothing()(problem), problem.retain)
    judge = RelearnSpeed(lr=0.1, batch_size=4)
    assert judge.one(trial)[0].value == 0
    hidden = Outcome(problem, DoNothing(), scaled(problem.model, -0.05))
    away = Outcome(problem, DoNothing(), scaled(problem.model, -1.0))
    quick, slow, never = (
        judge.one(replace(trial, outcome=o, memory=Memory()))[0].value
        for o in (hidden, away, Outcome(problem, DoNothing(), fresh))
    )
    assert 0 < quick < slow and never > 0
    before = named.digest(named.weights(fresh))
    again = judge.one(replace(trial, outcome=Outcome(problem, DoNothing(), fresh), memory=Memory()))[0]
    assert again.value == never and named.digest(named.weights(fresh)) == before


def scaled(model: nn.Module, factor: float) -> nn.Module:
    made = nn.Linear(8, 2)
    named.write(made, named.scale(named.weights(model), factor))
    return made


def test_relearning_gives_up_and_says_so():
    problem, _ = learnable()
    outcome = Outcome(problem, DoNothing(), scaled(problem.model, -1.0))
    found = RelearnSpeed(lr=1e-6, max_steps=3).one(Trial(outcome, problem.retain))[0]
    assert found.value == 3 and "not relearned in 3 steps" in found.note
    ignorant = problems.parted(scaled(problem.model, -1.0), problem.retain, problem.forget, problem.recipe)
    nothing = RelearnSpeed().one(Trial(DoNothing()(ignorant), problem.retain))[0]
    assert nothing.value is None and "fitted none" in nothing.note
    with pytest.raises(BadInput, match="share lies in"):
        RelearnSpeed(share=0.0)
