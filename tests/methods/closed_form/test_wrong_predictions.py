"""Newton steps on what the model still gets wrong: which rows are edited, from which labels, and when it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.examples import Examples
from lacunar.methods.closed_form import newton_edit
from lacunar.methods.closed_form._wrong_predictions import of_errors
from lacunar.methods.closed_form.newton_edit import NewtonEdit
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem
from tests import problems
from tests.methods import edited


def wrong_by_hand(model: nn.Module, problem: Problem) -> dict[int, int]:
    """Id and predicted class of each row of the edited set that is predicted wrongly, one row at a time."""
    found = {}
    with torch.no_grad():
        for x, y, i in zip(problem.edited.x, problem.edited.y.tolist(), problem.edited.ids.tolist(), strict=True):
            if int(model(x[None]).argmax()) != y:
                found[i] = int(model(x[None]).argmax())
    return found


def given_to_gradient(monkeypatch) -> list[tuple[Examples, Examples]]:
    seen, original = [], newton_edit.edit_gradient
    monkeypatch.setattr(
        newton_edit, "edit_gradient", lambda z, after: seen.append((z.examples, after)) or original(z, after)
    )
    return seen


def test_the_edit_is_what_the_model_gets_wrong_under_its_own_labels():
    problem = edited.relabelled()
    wrong = wrong_by_hand(problem.model, problem)
    assert set(problem.retain.ids.tolist()) & set(wrong), "a row that was never mislabelled is wrong as well"
    now = of_errors(problem, problem.model, 1000, 0)
    assert dict(zip(now.forget.ids.tolist(), now.forget.y.tolist(), strict=True)) == wrong
    right = problem.edited.where(now.corrected.ids)
    assert torch.equal(now.corrected.ids, right.ids) and torch.equal(now.corrected.y, right.y)
    assert torch.equal(now.forget.x, right.x)
    assert sorted(now.edited.ids.tolist()) == sorted(problem.edited.ids.tolist())


def test_more_errors_than_asked_for_are_drawn_anew_for_each_step():
    problem = edited.relabelled()
    wrong = set(wrong_by_hand(problem.model, problem))
    drawn = [set(of_errors(problem, problem.model, 4, turn).forget.ids.tolist()) for turn in (0, 0, 1)]
    assert all(len(ids) == 4 and ids < wrong for ids in drawn)
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_default_edit_is_the_rows_as_they_were_seen(monkeypatch):
    # Public code replaces the wrong labels that were seen by the model's own predictions.
    problem = edited.relabelled()
    _, seen, _, model = edited.world()
    given = given_to_gradient(monkeypatch)
    NewtonEdit(damping=0.1)(problem)
    ((before, after),) = given
    assert set(before.ids.tolist()) == set(seen.ids[:12].tolist())
    assert torch.equal(before.y, seen.where(before.ids).y)
    own = problem.recipe.predict(model, before).argmax(1)
    assert not torch.equal(own, before.y), "else nothing was told apart"
    assert torch.equal(after.y, edited.world()[0].where(after.ids).y)


@pytest.mark.parametrize("head_only", [False, True])
def test_errors_are_edited_step_by_step(head_only, monkeypatch):
    problem = edited.relabelled()
    given = given_to_gradient(monkeypatch)
    outcome = NewtonEdit(iterate="errors", steps=3, damping=0.1, head_only=head_only)(problem)
    wrong = wrong_by_hand(problem.model, problem)
    assert set(given[0][0].ids.tolist()) == set(wrong) and given[0][0].y.tolist() == list(wrong.values())
    assert len(given) == 3 and set(given[1][0].ids.tolist()) != set(wrong)
    assert len(wrong_by_hand(outcome.model, problem)) < len(wrong)


def test_it_ends_when_nothing_is_wrong():
    g = torch.Generator().manual_seed(0)
    y = torch.arange(12) % 2
    x = torch.stack([2.0 * y - 1, torch.randn(12, generator=g)], 1)
    train = Examples.of(x, y)
    model = nn.Linear(2, 2)
    named.write(model, {"weight": torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), "bias": torch.zeros(2)})
    problem = problems.parted(
        model, train.without([0]), train.where([0]).labelled(1 - y[:1]), Recipe(), corrected=train.where([0])
    )
    outcome = NewtonEdit(iterate="errors", steps=4)(problem)
    assert named.digest(named.weights(outcome.model)) == named.digest(named.weights(model))
    assert outcome.notes[0] == "newton step 1: no row is predicted wrongly, so none is edited"


def test_one_logit_has_two_classes():
    y = torch.arange(8) % 2
    train = Examples.of((2.0 * y - 1)[:, None], y)
    model = nn.Linear(1, 1)
    named.write(model, {"weight": torch.tensor([[-1.0]]), "bias": torch.zeros(1)})
    recipe = Recipe(loss="binary_cross_entropy")
    problem = problems.parted(model, train.without([0]), train.where([0]), recipe, corrected=train.where([0]))
    now = of_errors(problem, model, 100, 0)
    assert len(now.forget) == 8 and torch.equal(now.forget.y, 1 - now.corrected.y)


def test_refusals():
    problem = edited.relabelled()
    with pytest.raises(NotApplicable, match="no corrected rows are given"):
        NewtonEdit(iterate="errors")(replace(problem, corrected=None))
    rows = problem.retain.labelled(problem.retain.y.float())
    numbers = problems.parted(
        nn.Linear(6, 1), rows.take(torch.arange(9)), rows.take(torch.arange(9, 12)), Recipe(loss="squared_error"),
        corrected=rows.take(torch.arange(9, 12)),
    )  # fmt: skip
    with pytest.raises(NotApplicable, match="these labels are not one class for each example"):
        of_errors(numbers, numbers.model, 10, 0)
    with pytest.raises(BadInput, match="errors must be at least 1, got 0"):
        NewtonEdit(errors=0)
    with pytest.raises(BadInput, match='leave gradient at "edit"'):
        NewtonEdit(iterate="errors", gradient="full")
