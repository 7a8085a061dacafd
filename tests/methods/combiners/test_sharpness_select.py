"""Selecting the sharpest weights: exact sizes, what may move, what the score cannot know."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lacunar.catalog import registry
from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.importance.forget_newton import ForgetNewton
from lacunar.methods.closed_form.first_order_edit import FirstOrderEdit
from lacunar.methods.closed_form.newton_edit import NewtonEdit
from lacunar.methods.combiners.sharpness_select import SharpnessSelect
from tests import problems
from tests.methods import edited

P = 6 * 8 + 8 + 8 * 3 + 3


def moved(problem, model) -> dict[str, torch.Tensor]:
    before = named.weights(problem.model)
    return {name: w != before[name] for name, w in named.weights(model).items()}


@pytest.mark.parametrize("rho", [0.05, 0.1, 0.29, 1.0])
@pytest.mark.parametrize("order", ["largest", "smallest", "random"])
def test_at_most_the_floor_of_the_share_moves(rho, order):
    problem = edited.relabelled()
    outcome = SharpnessSelect(rho=rho, order=order, edit=NewtonEdit(damping=0.1))(problem)
    size = int(rho * P + 1e-9)
    assert f"{size} of {P} weights were selected" in outcome.notes[0]
    changed = masks.count(moved(problem, outcome.model))
    assert changed <= size
    if order != "smallest":
        assert changed > 0.5 * size, "dead weights have no gradient, others do"


def test_all_weights_are_the_full_step():
    problem = edited.relabelled()
    all_of_them = SharpnessSelect(rho=1.0, edit=NewtonEdit(damping=0.1))(problem).model
    full = NewtonEdit(damping=0.1)(problem).model
    for a, b in zip(named.weights(all_of_them).values(), named.weights(full).values(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_the_score_does_not_know_which_labels_were_wrong():
    problem = edited.relabelled()
    shuffled = problems.with_parts(
        problem,
        retain=problem.retain.labelled(problem.retain.y.roll(1)),
        corrected=problem.corrected.labelled(problem.corrected.y.roll(1)),
    )
    method = SharpnessSelect()
    one, other = (p.scores(method.score) for p in (problem, shuffled))
    assert named.digest(one) == named.digest(other)
    aware = ForgetNewton()
    one, other = (p.scores(aware) for p in (problem, shuffled))
    assert named.digest(one) != named.digest(other)


def test_the_sharpest_are_the_sharpest_and_the_last_layer_is_the_last():
    problem = edited.relabelled()
    method = SharpnessSelect(rho=0.1, edit=FirstOrderEdit(tau=1e-3))
    scores = problem.scores(method.score)
    changed = moved(problem, method(problem).model)
    inside, outside = named.flat(scores)[named.flat(changed)], named.flat(scores)[~named.flat(changed)]
    assert float(inside.min()) >= float(outside.max())
    last = moved(problem, SharpnessSelect(rho=1.0, last_layers=1)(problem).model)
    assert not last["0.weight"].any() and not last["0.bias"].any() and last["2.weight"].any()


def test_it_stays_inside_where_and_helps():
    problem = edited.relabelled()
    where = {
        name: torch.full_like(w, name != "0.weight", dtype=torch.bool)
        for name, w in named.weights(problem.model).items()
    }
    after = SharpnessSelect(rho=0.5)(replace(problem, where=where)).model
    assert torch.equal(after[0].weight, problem.model[0].weight)
    helped = SharpnessSelect(rho=0.3)(problem).model
    assert edited.wrongly(helped, problem) < edited.wrongly(problem.model, problem)


def test_random_masks_are_numbered():
    problem = edited.relabelled()

    def mask(draw: int) -> str:
        method = SharpnessSelect(rho=0.3, order="random", draw=draw, edit=FirstOrderEdit(tau=1e-3, gradient="full"))
        return named.digest(moved(problem, method(problem).model))

    masks = [mask(draw) for draw in range(5)]
    assert len(set(masks)) == 5
    assert mask(3) == masks[3]


@pytest.mark.parametrize("order", ["largest", "smallest"])
def test_a_number_of_a_random_mask_is_refused_where_there_is_one_mask_only(order):
    with pytest.raises(BadInput, match=f"draw=2 numbers random masks, but order='{order}'"):
        SharpnessSelect(order=order, draw=2)


def test_it_is_written_as_one_line():
    line = "sharpness_select:rho=0.1,score=forget_newton,edit=first_order_edit(tau=0.1),order=random"
    method = registry.parse("methods", line)
    assert method == SharpnessSelect(0.1, ForgetNewton(), FirstOrderEdit(tau=0.1), "random")
    assert registry.parse("methods", method.line()) == method


def test_shares_that_cannot_be():
    with pytest.raises(BadInput, match="share must be in"):
        SharpnessSelect(rho=0.0)
    with pytest.raises(NotApplicable, match=r"rho=0\.01 of 83 weights is not even one"):
        SharpnessSelect(rho=0.01)(edited.relabelled())
