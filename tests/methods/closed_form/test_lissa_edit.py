"""The published recursion: its fixed point, its normalisation, its refusals."""

from __future__ import annotations

import re

import pytest
import torch

from lacunar.core import named
from lacunar.core.errors import NotApplicable
from lacunar.methods.closed_form.lissa_edit import LissaEdit
from tests.methods import edited
from tests.oracles import curvature as oracle


def taken(problem, model) -> torch.Tensor:
    return named.flat(named.add(named.weights(problem.model), named.weights(model), -1.0)).double()


def test_it_takes_the_newton_step():
    problem = edited.relabelled()
    outcome = LissaEdit(damping=1.0, max_iter=500, rtol=0.01)(problem)
    wanted = named.flat(edited.newton_step(problem, 1.0)).double()
    assert float((taken(problem, outcome.model) - wanted).norm() / wanted.norm()) < 0.03
    assert "batch products" in outcome.notes[-1] and "damping 1 per example" in outcome.notes[-1]


def test_without_normalisation_the_step_is_larger_by_the_number_of_batches():
    # As published: the curvature is that of one batch, the gradient that of all rows.
    problem = edited.relabelled()
    many = {"damping": 3.0, "max_iter": 600, "rtol": 0.2}
    whole = taken(problem, LissaEdit(**many)(problem).model)
    batches = taken(problem, LissaEdit(**many, normalisation="batch", batch_size=20)(problem).model)
    assert float(batches.norm() / whole.norm()) == pytest.approx(3.0, rel=0.25)


def test_the_automatic_step_is_safe_for_the_largest_eigenvalue():
    problem = edited.relabelled()
    matrix = oracle.dense_ggn(problem.model, problem.edited, problem.recipe)
    largest = float(torch.linalg.eigvalsh(matrix)[-1]) + 60 * (1.0 + problem.recipe.weight_decay)
    note = LissaEdit(damping=1.0, max_iter=500, rtol=0.01)(problem).notes[-1]
    step = float(re.search(r"effective step ([\d.e-]+)", note)[1])
    assert 1 / (1.25 * largest) <= step <= 1 / largest


@pytest.mark.parametrize("step", [10.0, 1e-9])
def test_steps_that_are_too_long_or_too_short_are_no_result(step):
    with pytest.raises(NotApplicable, match="was not solved"):
        LissaEdit(step=step)(edited.relabelled())
