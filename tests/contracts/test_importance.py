"""What every score must do on every toy problem; nothing here knows a score by name."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch

from lacunar.catalog import registry
from lacunar.core import named
from lacunar.core.errors import LacunarError, NotApplicable
from lacunar.core.named import Named
from lacunar.core.rng import generator_of
from lacunar.sparsity.score import Basis, Score
from tests import problems
from tests.contracts import toy

NAMES = registry.names("importance")
GRID = toy.grid(NAMES)


@dataclass(frozen=True)
class Result:
    """One run of a score, with what was around it; no values when it does not apply, and then ``why`` says so."""

    values: Named | None
    why: str
    before: list[Any]
    after: list[Any]


@cache
def result(name: str, case: str, masked: bool) -> Result:
    """The one run of a score on a toy problem, with grad mode off."""
    problem = problems.problem(case, masked)
    model = copy.deepcopy(problem.model)
    values, why = None, ""
    with torch.no_grad():
        before = [toy.shape_of(model), toy.surroundings(), toy.content(problem.seen)]
        try:
            values = problem.scores(toy.quick("importance", name), model)
        except NotApplicable as error:
            why = str(error)
        after = [toy.shape_of(model), toy.surroundings(), toy.content(problem.seen)]
    return Result(values, why, before, after)


def values_of(name: str, case: str, masked: bool) -> Named:
    found = result(name, case, masked)
    if found.values is None:
        pytest.skip(found.why)
    return found.values


@pytest.mark.parametrize("name", NAMES)
def test_documented_and_settings_round_trip_through_json(name):
    cls = toy.documented("importance", name, Score)
    assert cls.paper
    assert toy.read_back("importance", toy.quick("importance", name)) == toy.quick("importance", name)


@pytest.mark.parametrize(("name", "case", "masked"), GRID)
def test_given_model_data_and_global_state_are_left_as_found(name, case, masked):
    found = result(name, case, masked)
    assert found.after == found.before


@pytest.mark.parametrize(("name", "case", "masked"), GRID)
def test_finite_keyed_alike_and_the_same_twice(name, case, masked):
    problem, values = problems.problem(case, masked), values_of(name, case, masked)
    named.same_keys(values, named.weights(problem.model))
    assert not named.not_finite(values)
    assert named.digest(values) == named.digest(problem.scores(toy.quick("importance", name)))


@pytest.mark.parametrize("name", [n for n in NAMES if registry.plugin_class("importance", n).needs])
def test_a_missing_need_is_named(name):
    problem, score = problems.problem("vectors"), toy.quick("importance", name)
    given = {"examples": problem.retain, "forget": problem.forget}
    for need in score.needs:
        for lacking in (None, problem.forget.take(torch.zeros(0, dtype=torch.int64))):
            parts = {**given, need: lacking}
            with pytest.raises(NotApplicable, match=f"{name} needs examples that|{name} needs the examples"):
                score.scores(
                    problem.model, parts["examples"], problem.recipe, generator_of(0, "x"), forget=parts["forget"]
                )


@dataclass(frozen=True)
class Broken(Score):
    """A third party's score that divides by zero."""

    paper = "none"
    needs = frozenset()

    def of(self, basis: Basis) -> named.Named:
        return {name: w / 0 for name, w in named.weights(basis.model).items()}


def test_a_score_that_is_not_finite_is_an_error():
    problem = problems.problem("vectors")
    with pytest.raises(LacunarError, match="broken is not finite in"):
        problem.scores(Broken())
