"""Every model goes one way, and what a judge cannot say is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from lacunar.auditing.comparison import Panel, rows, single, through_procedure
from lacunar.auditing.evaluator import Evaluator, PerTrial
from lacunar.auditing.trial import Trial
from lacunar.core import named
from lacunar.core.measurement import Measure
from lacunar.core.weights import model_state
from lacunar.evaluators.utility.accuracy import Accuracy
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.methods.fine_tuning.fine_tune import FineTune
from lacunar.training.watch import Watch
from tests import problems


@dataclass(frozen=True)
class Broken(PerTrial):
    """Raises."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = "nothing"
    MEASURES: ClassVar[Mapping[str, Measure]] = {"broken": Measure("none", "[0, 1]", "match", plain="Nothing")}

    def one(self, trial):
        raise ZeroDivisionError("planted")


@pytest.fixture
def panel():
    outcome = DoNothing()(problems.problem("vectors"))
    retain = outcome.problem.retain
    oracles = tuple(outcome.problem.recipe.fresh(i) for i in range(3))
    trial = Trial(outcome, replace(retain, ids=retain.ids + 1000), oracles=oracles)
    return Panel.of(trial, oracles[:2])


def digest(model):
    return named.digest(model_state(model))


def test_a_row_holds_every_model(panel):
    table, failed = rows(panel, [Accuracy()])
    row = next(r for r in table if r.name == "ra")
    own = {m.name: m.value for m in Accuracy().one(panel.oracles[1])}
    assert failed == [] and len(row.oracles) == 3 and len(row.procedure) == 2
    assert row.oracles[1] == row.procedure[1] == own["ra"]
    assert row.original == row.unlearned.value, "nothing was done"
    assert "in [0, 100]" in str(row.measure) and row.paper


def test_an_evaluator_that_raises_is_shown(panel):
    table, failed = rows(panel, [Broken(), Accuracy()])
    assert {r.name for r in table} == set(Accuracy.MEASURES) - {"ta_class"}
    assert failed[0].name == "broken" and failed[0].value is None
    assert failed[0].note == "failed: ZeroDivisionError: planted"
    assert single(panel, [Broken()])[0].note == failed[0].note
    assert issubclass(Broken, Evaluator)


def test_the_procedure_starts_from_an_oracle_that_it_leaves_alone():
    problem = problems.problem("vectors")
    outcome = FineTune(epochs=1, batch_size=8)(problem)
    oracles = [problem.recipe.fresh(i) for i in range(3)]
    before = [digest(o) for o in oracles]
    through, trouble = through_procedure(outcome, oracles, 2, lambda title: Watch())
    assert len(through) == 2 and trouble == [] and [digest(o) for o in oracles] == before
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
    through, trouble = through_procedure(outcome, [broken, problem.recipe.fresh(2)], 2, lambda title: Watch())
    assert len(through) == 1 and "failed on oracle 1, which was left out" in trouble[0]
