"""Every model goes one way, and what a judge cannot say is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from lacunar.auditing.comparison import Panel, rows, single
from lacunar.auditing.evaluator import Evaluator, PerTrial
from lacunar.auditing.trial import Trial
from lacunar.core import named
from lacunar.core.measurement import Measure
from lacunar.core.weights import model_state
from lacunar.evaluators.utility.accuracy import Accuracy
from lacunar.methods.controls.do_nothing import DoNothing
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
