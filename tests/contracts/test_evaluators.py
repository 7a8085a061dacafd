"""What every evaluator keeps, found by listing the folder, on every toy problem."""

from __future__ import annotations

import copy
import json
import math
import random
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from lacunar.auditing.evaluator import Evaluator
from lacunar.auditing.trial import Trial
from lacunar.catalog import registry
from lacunar.catalog.needs import NEEDS
from lacunar.core import named
from lacunar.core.errors import LacunarError, NotApplicable
from lacunar.core.measurement import DIRECTIONS
from lacunar.core.weights import model_state
from lacunar.data.examples import Examples
from lacunar.methods.controls.do_nothing import DoNothing
from tests import problems

NAMES = registry.names("evaluators")


@cache
def _parts(case: str, masked: bool):
    problem = problems.problem(case, masked)
    outcome = DoNothing()(problem)
    held_out = _renumbered(problem.retain, 10_000), _renumbered(problem.retain, 20_000)
    return outcome, *held_out, tuple(problem.recipe.fresh(seed) for seed in (1, 2, 3))


def _renumbered(source: Examples, by: int) -> Examples:
    return replace(source, ids=source.ids + by)


def trial_of(case: str, masked: bool = False) -> Trial:
    outcome, test, validation, oracles = _parts(case, masked)
    return Trial(outcome, test, validation, oracles)


def one_class(trial: Trial) -> Trial:
    """The same trial where every part holds examples of one class only."""

    def only(source):
        return source.take((source.y == 0).nonzero().reshape(-1))

    problem = trial.outcome.problem
    problem = problems.with_parts(problem, only(problem.retain), only(problem.forget))
    outcome = replace(trial.outcome, problem=problem)
    return Trial(outcome, only(trial.test), only(trial.held_out), trial.oracles)


def said(evaluator: Evaluator, trial: Trial) -> list[dict]:
    return [m.as_dict() for m in evaluator.measure([trial])]


def fingerprint(trial: Trial):
    models = (trial.outcome.model, trial.outcome.problem.model, *trial.oracles)
    problem = trial.outcome.problem
    return (
        [named.digest(model_state(m)) for m in models],
        [[module.training for module in m.modules()] for m in models],
        [[(p.requires_grad, p.grad is None) for p in m.parameters()] for m in models],
        [s.digest() for s in (problem.retain, problem.forget, trial.test, trial.held_out)],
        torch.get_rng_state().tolist(),
        str(np.random.get_state()),  # noqa: NPY002
        random.getstate(),
    )


@pytest.mark.parametrize("name", NAMES)
def test_documented(name):
    cls = registry.plugin_class("evaluators", name)
    assert cls.__doc__ and len(cls.__doc__.split()) > 15
    assert cls.paper and cls.cost
    assert cls.MEASURES, "an evaluator that says nothing"
    for key, measure in cls.MEASURES.items():
        assert measure.formula and measure.direction in DIRECTIONS, key
        assert measure.range[0] in "[(" and measure.range[-1] in "])", key
        assert measure.range in str(measure)


def test_names_of_measurements_are_unique():
    listed = [m for name in NAMES for m in registry.plugin_class("evaluators", name).MEASURES]
    assert len(listed) == len(set(listed))


def test_attacks_say_what_they_look_at_and_how_many_they_compared():
    # Public code prints five numbers under look-alike names, none of which says which feature and which sets it is of.
    trial = trial_of("vectors")
    for name in ("mia", "legacy_mia"):
        evaluator = registry.find("evaluators", name)
        for m in evaluator.measure([trial]):
            formula = evaluator.MEASURES[m.name].formula
            assert any(feature in formula for feature in ("φ", "p_y", "SVM", "attacker")), m.name
            assert m.direction in ("match", "information")
            assert m.n is not None or m.value is None
            assert re.search(r"\d", m.note) or m.value is None, f"{m.name} does not say how many it compared"


@pytest.mark.parametrize("name", NAMES)
def test_settings_round_trip(name):
    evaluator = registry.find("evaluators", name)
    assert registry.from_spec("evaluators", json.loads(json.dumps(evaluator.spec()))) == evaluator


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("case", "masked"), problems.CASES, ids=problems.CASE_IDS)
def test_reads_only_and_repeats_itself(name, case, masked):
    evaluator, trial = registry.find("evaluators", name), trial_of(case, masked)
    trial.oracles[0].train()
    before = fingerprint(trial)
    first = said(evaluator, trial)
    assert fingerprint(trial) == before
    assert said(evaluator, trial_of(case, masked)) == first
    trial.oracles[0].eval()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", ["vectors", "images", "dicts"])
def test_says_what_its_table_says(name, case):
    evaluator = registry.find("evaluators", name)
    found = evaluator.measure([trial_of(case)])
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
    try:
        found = registry.find("evaluators", name).measure([one_class(trial_of("vectors"))])
    except LacunarError as error:
        assert len(str(error).split()) > 4
    else:
        assert all(m.note if m.value is None else math.isfinite(m.value) for m in found)


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
    try:
        found = registry.find("evaluators", name).measure([trial])
    except LacunarError as error:
        assert len(str(error).split()) > 4
    else:
        assert all(m.note if m.value is None else math.isfinite(m.value) for m in found)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_says_nan_gives_a_sentence(name):
    trial = trial_of("vectors")
    broken = trial.outcome.problem.recipe.fresh(9)
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    try:
        found = registry.find("evaluators", name).measure([trial.seen_as(broken)])
    except LacunarError as error:
        assert len(str(error).split()) > 4
    else:
        assert all(m.note if m.value is None else math.isfinite(m.value) for m in found)


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_model_never_meets_an_old_value(name):
    evaluator, trial = registry.find("evaluators", name), trial_of("vectors")
    recipe, fresh = trial.outcome.problem.recipe, lambda model: replace(trial, outcome=trial.outcome.with_model(model))
    model = recipe.fresh(5)
    evaluator.measure([replace(fresh(model), memory={})])
    named.write(model, named.weights(recipe.fresh(6)))
    after = said(evaluator, replace(fresh(model), memory={}))
    assert after == said(evaluator, replace(fresh(recipe.fresh(6)), memory={}))


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
