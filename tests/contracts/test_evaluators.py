"""What every evaluator keeps, found by listing the folder, on every toy problem."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from lacunar.auditing.evaluator import Evaluator
from lacunar.auditing.memory import Memory
from lacunar.auditing.trial import Trial
from lacunar.catalog import registry
from lacunar.catalog.needs import NEEDS
from lacunar.core import named
from lacunar.core.errors import LacunarError, NotApplicable
from lacunar.core.measurement import DIRECTIONS, Measurement
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.unlearning.method import Outcome
from tests import problems
from tests.contracts import toy

NAMES = registry.names("evaluators")


@dataclass(frozen=True)
class Result:
    """One run of a judge on a trial whose first oracle is in training mode, with what was around it."""

    found: list[Measurement]
    before: list[Any]
    after: list[Any]


@cache
def outcome_of(case: str, masked: bool) -> Outcome:
    return DoNothing()(problems.problem(case, masked))


@cache
def oracles_of(case: str) -> tuple[nn.Module, ...]:
    return tuple(problems.problem(case).recipe.fresh(seed) for seed in (1, 2, 3))


def trial_of(case: str, masked: bool = False) -> Trial:
    """A trial of a model that is as it was; the parts that only the judge has are retained rows under other ids."""
    outcome = outcome_of(case, masked)
    test, held_out = (problems.renumbered(outcome.problem.retain, first) for first in (10_000, 20_000))
    return Trial(outcome, test, held_out, oracles_of(case))


@cache
def result(name: str, case: str, masked: bool) -> Result:
    """The one run of a judge on a toy trial."""
    trial = trial_of(case, masked)
    trial = replace(trial, oracles=(copy.deepcopy(trial.oracles[0]).train(), *trial.oracles[1:]))
    before = now(trial)
    found = registry.find("evaluators", name).measure([trial])
    return Result(found, before, now(trial))


def now(trial: Trial) -> list[Any]:
    """All that a judge must leave as it found it."""
    problem = trial.outcome.problem
    models = (trial.outcome.model, problem.model, *trial.oracles)
    parts = (problem.seen, problem.retain, problem.forget, trial.test, trial.held_out)
    return [[toy.shape_of(m) for m in models], [toy.content(part) for part in parts], toy.surroundings()]


def one_class(trial: Trial) -> Trial:
    """The same trial where every part holds examples of one class only."""

    def only(source):
        return source.take((source.y == 0).nonzero().reshape(-1))

    problem = trial.outcome.problem
    problem = problems.with_parts(problem, only(problem.retain), only(problem.forget))
    outcome = replace(trial.outcome, problem=problem)
    return Trial(outcome, only(trial.test), only(trial.held_out), trial.oracles)


def as_dicts(found: Sequence[Measurement]) -> list[dict[str, Any]]:
    return [m.as_dict() for m in found]


def assert_numbers_or_a_sentence(name: str, trial: Trial) -> None:
    try:
        found = registry.find("evaluators", name).measure([trial])
    except LacunarError as error:
        assert len(str(error).split()) > 4
    else:
        assert all(m.note if m.value is None else math.isfinite(m.value) for m in found)


@pytest.mark.parametrize("name", NAMES)
def test_documented(name):
    cls = toy.documented("evaluators", name, Evaluator)
    assert len(cls.__doc__.split()) > 15
    assert cls.paper and cls.cost
    assert cls.MEASURES, "an evaluator that says nothing"
    for key, measure in cls.MEASURES.items():
        assert measure.formula and measure.direction in DIRECTIONS, key
        assert measure.range[0] in "[(" and measure.range[-1] in "])", key
        assert measure.range in str(measure)
        assert len(measure.plain.split()) > 1 and measure.plain[0].isupper() and measure.plain[-1] != ".", key
        assert not set("φθη=×‖") & set(measure.plain), "a formula is no plain word"


def test_names_of_measurements_are_unique():
    listed = [m for name in NAMES for m in registry.plugin_class("evaluators", name).MEASURES]
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("name", NAMES)
def test_settings_round_trip(name):
    evaluator = registry.find("evaluators", name)
    assert toy.read_back("evaluators", evaluator) == evaluator


@pytest.mark.parametrize(("name", "case", "masked"), toy.grid(NAMES))
def test_reads_only_and_repeats_itself(name, case, masked):
    kept = result(name, case, masked)
    assert kept.after == kept.before
    again = registry.find("evaluators", name).measure([trial_of(case, masked)])
    assert as_dicts(again) == as_dicts(kept.found)


@pytest.mark.parametrize(("name", "case", "masked"), toy.grid(NAMES))
def test_says_what_its_table_says(name, case, masked):
    evaluator, found = registry.find("evaluators", name), result(name, case, masked).found
    assert found and len({m.name for m in found}) == len(found)
    for m in found:
        measure = evaluator.MEASURES[m.name.partition("[")[0]]
        assert (m.direction, m.unit) == (measure.direction, measure.unit)
        assert m.value is not None or m.note, f"{m.name} has no value and no reason"
        ends = [v for v in (m.low, m.value, m.high) if v is not None]
        assert all(math.isfinite(v) for v in ends) and ends == sorted(ends)
        low, high = (float(v) for v in measure.range[1:-1].split(","))
        assert m.value is None or low <= m.value <= high


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_need_is_named(name):
    evaluator, trial = registry.find("evaluators", name), trial_of("vectors")
    for need in evaluator.needs:
        with pytest.raises(NotApplicable, match=re.escape(f"{name} needs {NEEDS[need].words}")):
            evaluator.measure([trial, lacking(trial, need)])


def lacking(trial: Trial, need: str) -> Trial:
    """The same trial without what a need names."""
    problem = trial.outcome.problem
    if need in ("held_out", "oracles"):
        return replace(trial, **{need: None if need == "held_out" else ()})
    none = problem.forget.take(torch.zeros(0, dtype=torch.int64))
    changed = {
        "retained": lambda: problems.with_parts(problem, retain=none),
        "forget": lambda: problems.with_parts(problem, forget=none),
        "retraining": lambda: replace(problem, recipe=replace(problem.recipe, build=None)),
    }[need]()
    return replace(trial, outcome=replace(trial.outcome, problem=changed))


@pytest.mark.parametrize("name", NAMES)
def test_one_class_gives_numbers_or_a_sentence(name):
    assert_numbers_or_a_sentence(name, one_class(trial_of("vectors")))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", ["forget", "retain", "test", "held_out"])
def test_no_examples_give_numbers_or_a_sentence(name, part):
    trial = trial_of("vectors")
    empty = trial.part(part).take(torch.zeros(0, dtype=torch.int64))
    if part in ("forget", "retain"):
        trial = Trial(
            replace(trial.outcome, problem=problems.with_parts(trial.outcome.problem, **{part: empty})),
            trial.test,
            trial.held_out,
            trial.oracles,
        )
    else:
        trial = replace(trial, **{part: empty})
    assert_numbers_or_a_sentence(name, trial)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_says_nan_gives_a_sentence(name):
    trial = trial_of("vectors")
    broken = trial.outcome.problem.recipe.fresh(9)
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    assert_numbers_or_a_sentence(name, trial.seen_as(broken))


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_model_never_meets_an_old_value(name):
    evaluator, trial = registry.find("evaluators", name), trial_of("vectors")
    recipe, fresh = trial.outcome.problem.recipe, lambda model: replace(trial, outcome=trial.outcome.with_model(model))
    model = recipe.fresh(5)
    evaluator.measure([replace(fresh(model), memory=Memory())])
    named.write(model, named.weights(recipe.fresh(6)))
    after = evaluator.measure([replace(fresh(model), memory=Memory())])
    assert as_dicts(after) == as_dicts(evaluator.measure([replace(fresh(recipe.fresh(6)), memory=Memory())]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["vectors", "images", "dicts"])
def test_a_gpu_says_the_same(name, case):
    trial = trial_of(case)
    problem = trial.outcome.problem
    there = [copy.deepcopy(m).cuda() for m in (problem.model, trial.outcome.model, *trial.oracles)]
    moved = replace(problem, model=there[0], seen=problem.seen.to("cuda"))
    outcome = replace(trial.outcome, problem=moved, model=there[1])
    on_gpu = Trial(outcome, trial.test.to("cuda"), trial.held_out.to("cuda"), tuple(there[2:]))
    evaluator = registry.find("evaluators", name)
    for a, b in zip(evaluator.measure([trial]), evaluator.measure([on_gpu]), strict=True):
        assert (a.value is None) == (b.value is None)
        assert a.value is None or a.value == pytest.approx(b.value, rel=1e-5, abs=1e-5)
