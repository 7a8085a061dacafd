"""What is refused before anything is trained, and the facts that need no oracle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lacunar.auditing.checks import Duplicates, duplicates, given_oracles, invariants, trial_of
from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.examples import Examples
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.training.recipe import Recipe
from tests import problems
from tests.evaluators.toy import Shifted


@pytest.fixture
def outcome():
    return DoNothing()(problems.problem("vectors"))


@pytest.fixture
def test_set(outcome):
    retain = outcome.problem.retain
    return replace(retain, ids=retain.ids + 1000, x=retain.x + 1e-3)


def test_the_test_set_is_halved_class_by_class(outcome, test_set):
    trial, notes = trial_of(outcome, test_set, None, None, seed=0)
    held_out, judged = trial.held_out, trial.test
    assert len(held_out) + len(judged) == len(test_set) and 0 <= len(judged) - len(held_out) <= 1
    assert not set(held_out.ids.tolist()) & set(judged.ids.tolist())
    halves = held_out.class_counts(), judged.class_counts()
    assert all(abs(halves[0][c] - halves[1][c]) <= 1 for c in test_set.class_counts())
    assert "No held-out set was given" in notes[0]
    other = trial_of(outcome, test_set, None, None, seed=1)[0]
    assert other.held_out.ids.tolist() != held_out.ids.tolist()


def test_given_held_out_examples_are_used_as_it_is(outcome, test_set):
    held_out = replace(test_set, ids=test_set.ids + 1000)
    trial, notes = trial_of(outcome, test_set, held_out, None, seed=0)
    assert trial.held_out.ids.equal(held_out.ids) and trial.test.ids.equal(test_set.ids) and notes == []


def test_plain_arrays_get_ids_of_their_own(outcome, test_set):
    arrays = np.asarray(test_set.x), np.asarray(test_set.y)
    trial, _ = trial_of(outcome, arrays, arrays, None, seed=0)
    everyone = [trial.part(s).ids for s in ("forget", "retain", "test", "held_out")]
    assert len(torch.unique(torch.cat(everyone))) == sum(map(len, everyone))


@pytest.mark.parametrize("part", ["forget", "retain"])
def test_a_judge_needs_examples_of_its_own(outcome, test_set, part):
    trained = getattr(outcome.problem, part).take(torch.arange(3))
    names = f"3 ids are in the test set and in the {part} set: {', '.join(map(str, trained.ids.tolist()))}"
    with pytest.raises(BadInput, match=names):
        trial_of(outcome, test_set + trained, None, None, seed=0)
    with pytest.raises(BadInput, match=f"in the held-out set and in the {part} set"):
        trial_of(outcome, test_set, trained, None, seed=0)


def test_test_and_held_out_are_apart_from_each_other_and_from_the_methods(outcome, test_set):
    with pytest.raises(BadInput, match="in the held-out set and in the test set"):
        trial_of(outcome, test_set, test_set, None, seed=0)
    problem = replace(outcome.problem, tuning=test_set.take(torch.arange(2)))
    with pytest.raises(BadInput, match="2 ids are in the test set and in the method's tuning set"):
        trial_of(replace(outcome, problem=problem), test_set, None, None, seed=0)


def test_examples_that_the_model_cannot_take(outcome, test_set):
    with pytest.raises(BadInput, match="test inputs have shape"):
        trial_of(outcome, replace(test_set, x=test_set.x[:, :4]), None, None, seed=0)
    with pytest.raises(BadInput, match="labels run from 0 to 7, but the model has 3 logits"):
        trial_of(outcome, test_set.labelled(torch.where(test_set.y == 2, 7, test_set.y)), None, None, seed=0)
    with pytest.raises(BadInput, match="the test set is empty"):
        trial_of(outcome, test_set.take(torch.arange(0)), None, None, seed=0)
    with pytest.raises(BadInput, match="3 examples cannot be halved"):
        trial_of(outcome, test_set.take(torch.arange(3)), None, None, seed=0)


def test_classes_that_disappear_are_found(outcome, test_set):
    problem = outcome.problem
    whole = problem.retain + problem.forget
    gone, stays = (whole.take((whole.y == 1).eq(flag).nonzero().reshape(-1)) for flag in (True, False))
    outcome = replace(outcome, problem=problems.with_parts(problem, stays, gone))
    assert trial_of(outcome, test_set, None, None, seed=0)[0].forgotten_classes == (1,)
    assert trial_of(outcome, test_set, None, (2,), seed=0)[0].forgotten_classes == (2,)


def test_oracles_are_checked(outcome):
    problem = outcome.problem
    assert given_oracles(0, problem) == (0, []) and given_oracles(3, problem) == (3, [])
    for few in (1, 2, -1, [problem.recipe.fresh(1)]):
        with pytest.raises(BadInput, match="show no spread; ask for 0"):
            given_oracles(few, problem)
    with pytest.raises(NotApplicable, match="no build="):
        given_oracles(5, replace(problem, recipe=Recipe()))
    good = [problem.recipe.fresh(i) for i in range(3)]
    assert given_oracles(good, problem) == (3, good)
    with pytest.raises(BadInput, match="oracle 2 has other weights than the model at"):
        given_oracles([good[0], Shifted(), good[1]], problem)
    with pytest.raises(BadInput, match="oracle 3 has other weights"):
        given_oracles([good[0], good[1], problem.recipe.fresh(3).double()], problem)
    with pytest.raises(BadInput, match="oracle 1 is the original"):
        given_oracles([problem.model, *good], problem)


def test_copies_are_counted_whatever_their_ids(outcome, test_set):
    trial, _ = trial_of(outcome, test_set, None, None, seed=0)
    assert duplicates(trial) == Duplicates(0, 0, 0, 0)
    problem = outcome.problem
    twin = problem.forget.take(torch.tensor([0]))
    twins = Examples.of(torch.cat([twin.x, twin.x]), torch.cat([twin.y, twin.y]), ids=[5000, 5001])
    outcome = replace(outcome, problem=problems.with_parts(problem, retain=problem.retain + twins))
    again = replace(problem.retain.take(torch.arange(6)), ids=torch.arange(6000, 6006))
    trial, _ = trial_of(outcome, test_set, again, None, seed=0)
    assert duplicates(trial) == Duplicates(retained=2, forgotten=1, held_out=6, test=0)


def items_of(outcome, test_set, found=Duplicates(0, 0, 0, 0)):
    trial, _ = trial_of(outcome, test_set, None, None, seed=0)
    return {i.name: i for i in invariants(outcome, trial, found)}


def test_a_sound_model_keeps_all_invariants(test_set):
    problem = problems.problem("vectors", masked=True)
    where = masks.full(named.weights(problem.model), True)
    found = items_of(DoNothing()(replace(problem, where=where)), test_set)
    assert set(found) == {"weights_finite", "mask_kept", "where_kept", "copies_left", "held_out_unseen"}
    assert all(i.verdict == "pass" and i.mandatory and i.tier == 0 for i in found.values())


def test_each_broken_invariant_fails(test_set):
    problem = problems.problem("vectors", masked=True)
    held = masks.full(named.weights(problem.model), False)
    outcome = DoNothing()(replace(problem, where=held))
    broken = problem.recipe.fresh(7)
    found = items_of(outcome.with_model(broken), test_set)
    for name in ("mask_kept", "where_kept"):
        assert (found[name].verdict, found[name].code) == ("fail", "INVARIANT"), name
    dead = sum(int((~m).sum()) for m in problem.mask.values())
    assert found["mask_kept"].value == dead and f"{dead} non-zero weights" in found["mask_kept"].reason
    nn.init.constant_(next(broken.parameters()), float("nan"))
    assert items_of(outcome.with_model(broken), test_set)["weights_finite"].code == "INVARIANT"


def test_many_copies_leave_doubt_and_few_do_not(outcome, test_set):
    one_of_nine = items_of(outcome, test_set, Duplicates(3, 1, 0, 0))["copies_left"]
    assert (one_of_nine.verdict, one_of_nine.code) == ("inconclusive", "DUPLICATES")
    assert "3 retained examples are exact copies" in one_of_nine.reason
    held = items_of(outcome, test_set, Duplicates(0, 0, 9, 0))["held_out_unseen"]
    assert (held.verdict, held.code) == ("inconclusive", "CONTROL_BROKEN")
    many = replace(outcome.problem.forget, ids=torch.arange(9) + 7000)
    whole = replace(
        outcome, problem=problems.with_parts(outcome.problem, forget=many + outcome.problem.forget + _shift(many))
    )
    assert items_of(whole, test_set, Duplicates(1, 1, 0, 0))["copies_left"].verdict == "pass"


def _shift(examples):
    return replace(examples, ids=examples.ids + 100)


def test_oracles_of_another_width_are_refused_before_they_are_trained(digits):
    problem = digits.problem(digits.flipped)
    other = replace(problem, recipe=replace(problem.recipe, build=lambda: nn.Linear(64, 9)))
    with pytest.raises(BadInput, match="the recipe's build makes another model than the one given"):
        given_oracles(3, other)
    assert given_oracles(0, other) == (0, [])
