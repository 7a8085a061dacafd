"""First-order edits: the step itself, its length, the head alone."""

from __future__ import annotations

import pytest
import torch

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.curvature.edit_gradient import full_gradient
from lacunar.curvature.objective import Objective
from lacunar.curvature.update_search import step_lengths
from lacunar.methods.closed_form.first_order_edit import FirstOrderEdit
from tests.methods import edited


@pytest.mark.parametrize("kind", ["edit", "full"])
def test_the_step_is_tau_times_the_gradient(kind):
    problem = edited.relabelled()
    model, recipe = problem.model, problem.recipe
    if kind == "edit":
        gradient = edited.gradient(problem)
    else:
        gradient = full_gradient(Objective.of(model, problem.edited, recipe))
    after = named.weights(FirstOrderEdit(tau=0.01, gradient=kind)(problem).model)
    for name, w in named.weights(model).items():
        assert torch.allclose(after[name], w - 0.01 * gradient[name], atol=1e-7)


def test_auto_length_lowers_the_loss_on_the_corrected_data():
    problem = edited.relabelled()
    outcome = FirstOrderEdit()(problem)
    best = edited.mean_loss(outcome.model, problem)
    assert best < 0.9 * edited.mean_loss(problem.model, problem)
    assert "25 tried" in outcome.notes[-1]
    gradient = edited.gradient(problem)
    lengths = step_lengths(Objective.of(problem.model, problem.edited, problem.recipe), gradient)
    others = [FirstOrderEdit(tau=tau)(problem).model for tau in lengths[4:16:3]]
    assert best <= min(edited.mean_loss(model, problem) for model in others) + 1e-6


def test_the_head_alone_moves():
    problem = edited.relabelled()
    after = FirstOrderEdit(tau=0.02, head_only=True)(problem).model
    gradient = edited.gradient(problem)
    assert torch.equal(after[0].weight, problem.model[0].weight)
    assert torch.allclose(after[2].weight, problem.model[2].weight - 0.02 * gradient["2.weight"], atol=1e-6)


def test_a_negative_length_is_refused():
    with pytest.raises(BadInput, match="tau is a step length"):
        FirstOrderEdit(tau=-1.0)
