from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lacunar.auditing.models import OnDemand
from lacunar.auditing.trial import Trial
from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.weights import model_state
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.methods.fine_tuning.fine_tune import FineTune
from lacunar.training.trainer import PlainTrainer
from tests import problems


def digest(model) -> str:
    return named.digest(model_state(model))


class Counting:
    """A trainer that notes what it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, recipe, examples, seed, mask=None, *, title="training", order_seed=None, skip=None):
        self.asked.append((title, seed, frozenset(examples.ids.tolist()), mask))
        return PlainTrainer()(recipe, examples, seed, mask, title=title, order_seed=order_seed, skip=skip)


@pytest.fixture
def trainer():
    return Counting()


@pytest.fixture
def trial(trainer):
    problem = problems.problem("vectors", True)
    return Trial(DoNothing()(problem), problem.retain, trainer=trainer)


def test_nothing_is_made_before_it_is_asked_for_and_once_for_all(trial, trainer):
    models = trial.models
    assert trainer.asked == []
    first = models.shadows(2)
    more = trial.seen_as(trial.outcome.problem.model).models.shadows(4)
    assert [a is b for a, b in zip(first, more, strict=False)] == [True, True] and len(trainer.asked) == 4
    assert [title for title, *_ in trainer.asked] == [f"shadow {i}" for i in (1, 2, 3, 4)]


def test_each_row_is_a_member_of_half_of_the_shadows_and_members_were_trained_on(trial, trainer):
    shadows, seen = trial.models.shadows(6), trial.outcome.problem.seen
    assert torch.stack([s.member for s in shadows]).sum(0).tolist() == [3] * len(seen)
    members = [frozenset(seen.ids[s.member].tolist()) for s in shadows]
    assert members == [ids for _, _, ids, _ in trainer.asked] and len(set(members)) == 6
    assert len({seed for _, seed, _, _ in trainer.asked}) == 6
    assert all(mask is trial.outcome.problem.mask for *_, mask in trainer.asked)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_shadows_come_in_pairs(trial, count):
    with pytest.raises(BadInput, match="their number is even and at least 2"):
        trial.models.shadows(count)


def test_shadows_need_a_recipe_that_can_train(trial):
    outcome = trial.outcome
    fixed = replace(outcome, problem=replace(outcome.problem, recipe=replace(outcome.problem.recipe, build=None)))
    with pytest.raises(NotApplicable, match="shadows are trained by the recipe"):
        replace(trial, outcome=fixed).models.shadows(2)


def test_the_procedure_starts_from_an_oracle_that_it_leaves_alone():
    problem = problems.problem("vectors")
    outcome = FineTune(epochs=1, batch_size=8)(problem)
    oracles = [problem.recipe.fresh(i) for i in range(3)]
    before = [digest(o) for o in oracles]
    through, trouble = Trial(outcome, problem.retain, oracles=oracles).models.through(2)
    assert len(through) == 2 and trouble == () and [digest(o) for o in oracles] == before
    assert all(digest(m) not in before for m in through)
    apart = [[_distance(m, o) for o in oracles] for m in through]
    assert apart[0][0] < min(apart[0][1:]) and apart[1][1] < min(apart[1][0], apart[1][2])


def _distance(a, b):
    return named.norm(named.add(named.weights(a), named.weights(b), -1))


def test_a_method_that_fails_on_an_oracle_is_said():
    problem = problems.problem("vectors")
    outcome = FineTune(epochs=1, batch_size=8)(problem)
    broken = problem.recipe.fresh(1)
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    trial = Trial(outcome, problem.retain, oracles=[broken, problem.recipe.fresh(2)])
    through, trouble = trial.models.through(2)
    assert len(through) == 1 and "failed on oracle 1, which was left out" in trouble[0]


def test_models_that_went_through_the_method_are_made_once_by_what_runs_it():
    problem = problems.problem("vectors")
    ran, oracles = [], [problem.recipe.fresh(i) for i in range(3)]

    def run(method, problem, watch):
        ran.append((method, problem.seed))
        return method(problem, watch)

    trial = Trial(DoNothing()(problem), problem.retain, oracles=oracles, run=run)
    titles = []
    first, _ = trial.models.through(2, lambda title: titles.append(title) or problem.watch)
    again, _ = trial.models.through(9)
    assert again[:2] == first and len(again) == len(ran) == len({seed for _, seed in ran}) == 3
    assert titles == ["procedure on oracle 1 of 2", "procedure on oracle 2 of 2"]
    assert [digest(m) for m in again] == [digest(o) for o in oracles]


def test_models_on_demand_are_counted_without_being_made():
    asked = []
    lazy = OnDemand(lambda i: asked.append(i) or torch.nn.Linear(1, i), (1, 3, 5))
    assert len(lazy) == 3 and bool(lazy) and len(lazy[1:]) == 2 and asked == []
    assert lazy[1].out_features == 3 and [m.out_features for m in lazy[1:]] == [3, 5] and asked == [3, 3, 5]
    with pytest.raises(IndexError):
        lazy[3]
