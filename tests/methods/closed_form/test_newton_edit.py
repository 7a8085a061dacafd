"""Newton edits: what one step does, convex problems to the end, refusals, the head alone."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import nn

from lacunar.core import named
from lacunar.core.errors import BadInput, Diverged, NotApplicable
from lacunar.curvature.edit_gradient import full_gradient
from lacunar.curvature.newton import DAMPINGS
from lacunar.curvature.objective import Objective
from lacunar.data import corrections
from lacunar.data.examples import Examples
from lacunar.methods.closed_form import newton_edit
from lacunar.methods.closed_form.first_order_edit import FirstOrderEdit
from lacunar.methods.closed_form.newton_edit import NewtonEdit
from lacunar.methods.combiners.sharpness_select import SharpnessSelect
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem
from tests import problems
from tests.methods import edited


def test_one_step_is_the_solution_of_its_system():
    problem = edited.relabelled()
    model = problem.model
    step = edited.newton_step(problem, 0.3)
    after = named.weights(NewtonEdit(damping=0.3)(problem).model)
    wanted = named.add(named.weights(model), step, -1.0)
    assert all(torch.allclose(after[name], wanted[name], atol=1e-6) for name in wanted)


@pytest.mark.parametrize(
    "settings", [{}, {"steps": 3}, {"solver": "cholesky"}, {"solver": "woodbury"}, {"gradient": "full"}], ids=str
)
def test_wrong_labels_are_unlearned(settings):
    problem = edited.relabelled()
    assert edited.wrongly(problem.model, problem) > 0.5
    outcome = NewtonEdit(**settings)(problem)
    assert edited.wrongly(outcome.model, problem) < 0.35
    assert edited.mean_loss(outcome.model, problem) < 0.6 * edited.mean_loss(problem.model, problem)
    made = [note for note in outcome.notes if note.startswith("newton step")]
    assert len(made) == settings.get("steps", 1)
    assert ("a stored matrix (1 gradient pass per logit)" if "solver" in settings else "curvature products") in made[0]


@pytest.mark.parametrize(
    ("settings", "cost"),
    [
        ({"solver": "diagonal"}, "1 gradient pass"),
        ({"solver": "cholesky", "curvature": "hessian", "damping": 10.0}, "1 curvature product per weight"),
    ],
)
def test_what_a_step_cost_is_noted(settings, cost):
    assert cost in NewtonEdit(**settings)(edited.relabelled()).notes[-1]


def test_auto_damping_is_the_best_of_the_grid_on_training_data():
    problem = edited.relabelled()
    chosen = edited.mean_loss(NewtonEdit()(problem).model, problem)
    fixed = [edited.mean_loss(NewtonEdit(damping=mu)(problem).model, problem) for mu in DAMPINGS]
    assert chosen == pytest.approx(min(fixed), rel=1e-2)


@pytest.mark.parametrize("method", [NewtonEdit(), FirstOrderEdit(), SharpnessSelect()], ids=lambda m: m.name())
def test_nothing_is_tuned_on_held_out_examples(method):
    # Public step lengths and scales are tuned on test data. A problem has none; tuning data are not read.
    assert "test" not in {f.name for f in fields(Problem)}
    problem = edited.relabelled()
    held_out = Examples.of(torch.full((9, 6), 1e6), torch.arange(9) % 3, ids=torch.arange(9) + 10**6)
    one, other = method(problem), method(replace(problem, tuning=held_out))
    assert named.digest(named.weights(one.model)) == named.digest(named.weights(other.model))


def test_logistic_regression_is_finished_in_four_steps():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(80, 5, generator=g, dtype=torch.float64)
    train = Examples.of(x, (x[:, 0] + 0.5 * torch.randn(80, generator=g) > 0).long())
    recipe = Recipe(weight_decay=0.02)
    model = nn.Linear(5, 2).double()
    everything = problems.parted(model, train.without([0]), train.where([0]), recipe, corrected=train.where([0]))
    trained = NewtonEdit(damping=0.0, gradient="full", steps=8, rtol=1e-10)(everything).model
    assert named.norm(full_gradient(Objective.of(trained, train, recipe))) < 1e-10
    problem = Problem.of(trained, train, range(8), recipe, device="cpu")
    after = NewtonEdit(damping=0.0, steps=4, rtol=1e-8)(problem).model
    assert named.norm(full_gradient(Objective.of(after, problem.edited, recipe))) < 1e-6
    whole = train.without(range(8))
    again = problems.parted(model, whole.without([9]), whole.where([9]), recipe, corrected=whole.where([9]))
    retrained = NewtonEdit(damping=0.0, gradient="full", steps=8, rtol=1e-10)(again).model
    for name, w in named.weights(after).items():
        assert torch.allclose(w, named.weights(retrained)[name], atol=1e-6)


def test_a_gradient_that_sums_to_zero_is_not_skipped_and_one_that_is_zero_changes_nothing(monkeypatch):
    # Public code skips the update when the sum of the gradient's entries is 0.
    problem = edited.relabelled()
    zero = named.scale(named.weights(problem.model), 0.0)
    monkeypatch.setattr(newton_edit, "edit_gradient", lambda *a, **k: zero)
    after = NewtonEdit()(problem).model
    assert named.digest(named.weights(after)) == named.digest(named.weights(problem.model))
    opposite = {name: t.clone() for name, t in zero.items()}
    opposite["2.bias"][:2] = torch.tensor([1.0, -1.0])
    monkeypatch.setattr(newton_edit, "edit_gradient", lambda *a, **k: opposite)
    moved = NewtonEdit(damping=1.0)(problem).model
    assert float((moved[2].bias - problem.model[2].bias)[0].detach()) < 0


def test_what_did_not_converge_is_no_result():
    problem = edited.relabelled()
    for damping in ("auto", 1e-3):
        with pytest.raises(NotApplicable, match="was not solved"):
            NewtonEdit(damping=damping, max_iter=1, rtol=1e-10)(problem)


def test_a_gradient_that_is_not_finite_is_no_result(monkeypatch):
    problem = edited.relabelled()
    broken = {name: torch.full_like(w, float("nan")) for name, w in named.weights(problem.model).items()}
    monkeypatch.setattr(newton_edit, "edit_gradient", lambda *a, **k: broken)
    with pytest.raises(Diverged, match=r"not finite in 0\.weight"):
        NewtonEdit()(problem)


@pytest.mark.parametrize("settings", [{"damping": -1.0}, {"steps": 0}])
def test_settings_that_cannot_be(settings):
    with pytest.raises(BadInput, match=next(iter(settings))):
        NewtonEdit(**settings)


def head_only_mask(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: torch.full_like(w, name.startswith("2."), dtype=torch.bool) for name, w in named.weights(model).items()
    }


@pytest.mark.parametrize("edit", ["labels", "features", "deletion"])
def test_the_head_on_cached_features_is_the_restricted_step(edit):
    clean, seen, recipe, model = edited.world()
    if edit == "labels":
        problem = edited.relabelled()
    elif edit == "features":
        problem = Problem.of(model, seen, recipe=recipe, corrected=corrections.zero_features(seen, [0]), device="cpu")
    else:
        problem = Problem.of(model, seen, clean.ids[:9], recipe, device="cpu")
    cached = NewtonEdit(damping=0.1, head_only=True, rtol=1e-6)(problem)
    whole = NewtonEdit(damping=0.1, rtol=1e-6)(replace(problem, where=head_only_mask(model)))
    for name, w in named.weights(whole.model).items():
        assert torch.allclose(named.weights(cached.model)[name], w, atol=1e-5)
        assert torch.equal(named.weights(cached.model)[name], named.weights(model)[name]) == name.startswith("0.")
    assert "only the head '2' was updated" in cached.notes[-1]


def test_the_head_passes_each_row_through_the_trunk_once():
    problem = edited.relabelled()
    model = problem.model
    rows = []
    handle = model[0].register_forward_hook(lambda module, args, out: rows.append(len(out)))
    try:
        NewtonEdit(head_only=True, steps=2)(problem)
    finally:
        handle.remove()
    # Two sources, each with three looks at eight rows at most by the door; labels alone need no third source.
    assert sum(rows) <= len(problem.retain) + len(problem.forget) + 2 * (8 + 8 + 1)


def test_the_head_keeps_to_where():
    problem = edited.relabelled()
    where = head_only_mask(problem.model)
    where["2.weight"][0] = False
    after = NewtonEdit(head_only=True)(replace(problem, where=where)).model
    assert torch.equal(after[2].weight[0], problem.model[2].weight[0])
    assert not torch.equal(after[2].weight[1], problem.model[2].weight[1])


def test_it_does_what_doing_nothing_does_not():
    problem = edited.relabelled()
    assert edited.wrongly(DoNothing()(problem).model, problem) > 0.5
