from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest

from lacunar.auditing.evaluator import Evaluator, PerTrial
from lacunar.core.errors import NotApplicable
from lacunar.core.measurement import Measure, Measurement
from tests.evaluators import toy


@dataclass(frozen=True)
class Counts(PerTrial):
    """How many test examples there are."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset({"oracles"})
    cost: ClassVar[str] = "nothing"
    MEASURES: ClassVar[Mapping[str, Measure]] = {"count": Measure("rows", "[0, inf)", "lower", "rows", plain="Rows")}

    def one(self, trial):
        return [self.says("count", float(len(trial.test)))]


def test_a_number_takes_direction_and_unit_from_its_measure():
    said = Counts().says("count", 2.0, (1.0, 3.0), key="a", n=5, note="why")
    assert said == Measurement("count[a]", 2.0, 1.0, 3.0, 5, None, "lower", "rows", "why")
    assert Counts().says("count", None).low is None
    with pytest.raises(KeyError, match="never"):
        Counts().says("never", 1.0)


def test_an_evaluator_of_single_trials_says_of_several_what_it_says_of_each():
    trials = [toy.world(n, oracles=(toy.Shifted(),)) for n in (6, 9)]
    assert [m.value for m in Counts().measure(trials)] == [12.0, 18.0]


def test_what_one_of_the_trials_lacks_is_named():
    trials = [toy.world(6, oracles=(toy.Shifted(),)), toy.world(6)]
    with pytest.raises(NotApplicable, match="counts needs retrained oracles"):
        Counts().measure(trials)


def test_a_judge_without_a_verb_is_none():
    with pytest.raises(TypeError, match="abstract"):
        type("Silent", (Evaluator,), {})()
