"""The judges of edits: accuracy restored, poison fit, loss gap, gradient residual, relearning."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lacunar.auditing.memory import Memory
from lacunar.auditing.trial import Trial
from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.examples import Examples
from lacunar.evaluators.distances.loss_gap import LossGap
from lacunar.evaluators.edits.accuracy_restored import AccuracyRestored
from lacunar.evaluators.edits.gradient_residual import GradientResidual
from lacunar.evaluators.edits.poison_fit import PoisonFit
from lacunar.evaluators.traces.relearn_speed import RelearnSpeed
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.training.recipe import Recipe
from lacunar.unlearning.method import Outcome
from lacunar.unlearning.problem import Problem
from tests import problems
from tests.evaluators import toy


class Fixed(nn.Module):
    """Says class 1 for the first ``right`` inputs, which count up from 0, and class 0 for the others."""

    def __init__(self, right: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(2))
        self.right = right

    def forward(self, x):
        sure = 3.0 * (x < self.right)
        return torch.cat([3.0 - sure, sure], 1) + self.bias


def judged(before: int, after: int, clean: list[int], n: int = 100) -> Trial:
    test = Examples.of(torch.arange(n)[:, None].float(), torch.ones(n, dtype=torch.int64), ids=range(1000, 1000 + n))
    train = Examples.of(torch.zeros(4, 1), [0, 1, 0, 1])
    problem = problems.parted(Fixed(before), train.where([0, 1]), train.where([2, 3]), Recipe(lambda: Fixed(0)))
    return Trial(Outcome(problem, DoNothing(), Fixed(after)), test, oracles=tuple(Fixed(c) for c in clean))


def test_accuracy_restored_by_hand():
    found = AccuracyRestored().one(judged(60, 75, [90, 90]))[0]
    assert found.value == pytest.approx(0.5) and "before 0.6000, after 0.7500, clean 0.9000" in found.note
    assert AccuracyRestored().one(judged(60, 50, [80, 100]))[0].value == pytest.approx(-1 / 3)
    small = AccuracyRestored().one(judged(89, 90, [89, 90]))[0]
    assert small.value is None and "cost less than 0.01" in small.note
    with pytest.raises(NotApplicable, match="oracles"):
        AccuracyRestored().measure([judged(60, 75, [])])


def test_poison_fit_counts_relabelled_rows_only():
    # Predicted: wrong, right, neither; the fourth row was forgotten but not relabelled.
    forget = (toy.logits_for(torch.tensor([1, 0, 2, 0]), 5.0), torch.tensor([1, 1, 1, 0]))
    other = (toy.logits_for(torch.tensor([0, 1]), 5.0), torch.tensor([0, 1]))
    found = {m.name: m for m in PoisonFit().one(toy.trial(forget, other, other, corrected=[0, 0, 0, 0]))}
    assert found["poison_fit"].value == found["edit_fit"].value == pytest.approx(1 / 3) and found["edit_fit"].n == 3
    assert found["poison_fit"].low < 1 / 3 < found["poison_fit"].high
    none = PoisonFit().one(toy.trial(forget, other, other))
    assert [m.value for m in none] == [None, None] and "no forgotten example" in none[0].note


def test_loss_gap_by_hand():
    trial = judged(0, 40, [60, 80])
    found = {m.name: m.value for m in LossGap().one(trial)}
    low, high = math.log1p(math.exp(-3)), math.log1p(math.exp(3))
    own = np.where(np.arange(100) < 40, low, high)
    theirs = (np.where(np.arange(100) < 60, low, high) + np.where(np.arange(100) < 80, low, high)) / 2
    assert found["loss_gap"] == pytest.approx((own - theirs).mean())
    assert found["loss_gap_size"] == pytest.approx(np.abs(own - theirs).mean())
    assert found["loss_correlation"] == pytest.approx(np.corrcoef(own, theirs)[0, 1])
    flat = {m.name: m for m in LossGap().one(judged(0, 100, [60]))}
    assert flat["loss_correlation"].value is None and "all losses are equal" in flat["loss_correlation"].note
    with pytest.raises(NotApplicable, match="oracles"):
        LossGap().measure([judged(0, 40, [])])


class Plane(nn.Module):
    """A loss with a known gradient: squared error of one weight per output, inputs 1."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(values))

    def forward(self, x):
        return x * self.weight


def plane(values: list[float], weight_decay: float = 0.0, **more) -> Trial:
    rows = Examples.of(torch.ones(2, 2), torch.zeros(2, 2))
    recipe = Recipe(lambda: Plane([0.0, 0.0]), loss="squared_error", weight_decay=weight_decay)
    problem = problems.parted(Plane(values), rows.where([0]), rows.where([1]), recipe, **more)
    return Trial(Outcome(problem, DoNothing(), Plane(values)), rows)


def test_the_residual_is_the_norm_of_a_summed_gradient_with_its_penalty():
    # Public code prints the squared norm. And a penalty of norms instead of squares.
    assert GradientResidual().measure([plane([3.0, 4.0])])[0].value == pytest.approx(5.0)
    assert GradientResidual().measure([plane([3.0, 4.0], weight_decay=1.0)])[0].value == pytest.approx(10.0)
    corrected = Examples.of(torch.ones(1, 2), torch.ones(1, 2), ids=[1])
    both = GradientResidual().measure([plane([3.0, 4.0], corrected=corrected)])[0]
    assert both.value == pytest.approx(math.hypot(3 + 2, 4 + 3)) and both.n == 2


def test_several_requests_are_summarised_by_their_largest():
    found = {m.name: m.value for m in GradientResidual().measure([plane([float(i), 0.0]) for i in range(1, 12)])}
    assert "gradient_residual" not in found
    assert found["gradient_residual_max"] == 11 and found["gradient_residual_median"] == 6
    assert found["gradient_residual_q90"] == pytest.approx(10)
    assert [m.name for m in GradientResidual().measure([plane([1.0, 1.0])])] == ["gradient_residual"]


def test_pruned_weights_have_no_residual():
    trial = plane([3.0, 0.0])
    rows = Examples.of(torch.ones(1, 2), torch.tensor([[0.0, 7.0]]))
    problem = problems.with_parts(trial.outcome.problem, retain=rows)
    mask = {"weight": torch.tensor([True, False])}
    outcome = replace(trial.outcome, problem=problem, mask=mask)
    assert GradientResidual().measure([replace(trial, outcome=outcome)])[0].value == pytest.approx(3.0)


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
    hidden = Outcome(problem, DoNothing(), _scaled(problem.model, -0.05))
    away = Outcome(problem, DoNothing(), _scaled(problem.model, -1.0))
    quick, slow, never = (
        judge.one(replace(trial, outcome=o, memory=Memory()))[0].value
        for o in (hidden, away, Outcome(problem, DoNothing(), fresh))
    )
    assert 0 < quick < slow and never > 0
    before = named.digest(named.weights(fresh))
    again = judge.one(replace(trial, outcome=Outcome(problem, DoNothing(), fresh), memory=Memory()))[0]
    assert again.value == never and named.digest(named.weights(fresh)) == before


def _scaled(model: nn.Module, factor: float) -> nn.Module:
    made = nn.Linear(8, 2)
    named.write(made, named.scale(named.weights(model), factor))
    return made


def test_relearning_gives_up_and_says_so():
    problem, _ = learnable()
    outcome = Outcome(problem, DoNothing(), _scaled(problem.model, -1.0))
    found = RelearnSpeed(lr=1e-6, max_steps=3).one(Trial(outcome, problem.retain))[0]
    assert found.value == 3 and "not relearned in 3 steps" in found.note
    ignorant = problems.parted(_scaled(problem.model, -1.0), problem.retain, problem.forget, problem.recipe)
    nothing = RelearnSpeed().one(Trial(DoNothing()(ignorant), problem.retain))[0]
    assert nothing.value is None and "fitted none" in nothing.note
    with pytest.raises(BadInput, match="share lies in"):
        RelearnSpeed(share=0.0)
