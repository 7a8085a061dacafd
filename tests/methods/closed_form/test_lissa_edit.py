"""The published recursion: its fixed point, its normalisation, its refusals."""

from __future__ import annotations

import pytest
import torch

from lacunar.core import named
from lacunar.core.errors import NotApplicable
from lacunar.curvature import newton
from lacunar.methods.closed_form.lissa_edit import LissaEdit
from tests.methods import edited
from tests.oracles import curvature as oracle


def taken(problem, model) -> torch.Tensor:
    return named.flat(named.add(named.weights(problem.model), named.weights(model), -1.0)).double()


def test_it_takes_the_newton_step():
    problem = edited.relabelled()
    system = newton.NewtonSystem(problem.model, problem.edited, problem.recipe)
    gradient = newton.edit_gradient(problem.model, problem.forget, problem.corrected, problem.recipe)
    outcome = LissaEdit(damping=1.0, max_iter=500, rtol=0.01)(problem)
    wanted = named.flat(system.solved(gradient, 1.0).x).double()
    assert float((taken(problem, outcome.model) - wanted).norm() / wanted.norm()) < 0.03
    assert "batch products" in outcome.notes[-1] and "damping 1 per example" in outcome.notes[-1]


def test_without_normalisation_the_step_is_larger_by_the_number_of_batches():
    # As published: the curvature is that of one batch, the gradient that of all rows.
    problem = edited.relabelled()
    many = {"damping": 3.0, "max_iter": 600, "rtol": 0.2}
    whole = taken(problem, LissaEdit(**many)(problem).model)
    batches = taken(problem, LissaEdit(**many, normalisation="batch", batch_size=20)(problem).model)
    assert float(batches.norm() / whole.norm()) == pytest.approx(3.0, rel=0.25)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_the_automatic_step_knows_the_largest_eigenvalue(masked):
    # Public code takes power iteration on a wrongly shifted matrix.
    problem = edited.relabelled()
    g = torch.Generator().manual_seed(0)
    some = {name: torch.rand(w.shape, generator=g) < 0.5 for name, w in named.weights(problem.model).items()}
    mask = some if masked else None
    system = newton.NewtonSystem(problem.model, problem.edited, problem.recipe, mask)
    matrix = oracle.dense_ggn(problem.model, problem.edited, problem.recipe)
    inside = slice(None) if mask is None else named.flat(mask)
    largest = float(torch.linalg.eigvalsh(matrix[inside][:, inside])[-1])
    assert largest <= LissaEdit()._sharpest(system) <= 1.2 * largest * (1 + 1e-5)


def test_a_matrix_of_zeros_has_no_largest_eigenvalue(monkeypatch):
    problem = edited.relabelled()
    monkeypatch.setattr(newton.ggn, "Operator", lambda *_: lambda v: named.scale(v, 0.0))
    assert LissaEdit()._sharpest(newton.NewtonSystem(problem.model, problem.edited, problem.recipe)) == 0.0


@pytest.mark.parametrize("step", [10.0, 1e-9])
def test_steps_that_are_too_long_or_too_short_are_no_result(step):
    with pytest.raises(NotApplicable, match="was not solved"):
        LissaEdit(step=step)(edited.relabelled())
