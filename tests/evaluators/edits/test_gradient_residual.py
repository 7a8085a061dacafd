from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from lacunar.auditing.trial import Trial
from lacunar.data.examples import Examples
from lacunar.evaluators.edits.gradient_residual import GradientResidual
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.training.recipe import Recipe
from lacunar.unlearning.method import Outcome
from tests import problems


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
