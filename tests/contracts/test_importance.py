"""What every score must do on every toy problem; nothing here knows a score by name."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from lacunar.catalog import registry
from lacunar.core import named
from lacunar.core.errors import LacunarError, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.core.weights import model_state
from lacunar.sparsity.score import Basis, Score
from tests import problems

NAMES = registry.names("importance")
GRID = [
    pytest.param(n, c, id=f"{n}-{i}") for n in NAMES for c, i in zip(problems.CASES, problems.CASE_IDS, strict=True)
]


def quick(name: str) -> Score:
    settings = {f.name for f in dataclasses.fields(registry.plugin_class("importance", name))}
    return registry.find("importance", name, **{k: v for k, v in {"probes": 2}.items() if k in settings})


@pytest.mark.parametrize("name", NAMES)
def test_documented_frozen_and_honest_about_its_needs(name):
    cls = registry.plugin_class("importance", name)
    assert issubclass(cls, Score) and cls.name() == name and cls.kind == "importance"
    assert cls.__dataclass_params__.frozen and cls.__doc__ and cls.paper
    assert registry.from_spec("importance", json.loads(json.dumps(quick(name).spec()))) == quick(name)


@pytest.mark.parametrize(("name", "case"), GRID)
def test_finite_keyed_alike_the_same_twice_and_nothing_touched(name, case):
    problem = problems.problem(*case)
    before, state = named.digest(model_state(problem.model)), torch.get_rng_state()
    score = quick(name)
    try:
        one, two = (problem.scores(score) for _ in range(2))
    except NotApplicable as why:
        pytest.skip(str(why))
    named.same_keys(one, named.weights(problem.model))
    assert not named.not_finite(one)
    assert named.digest(one) == named.digest(two)
    assert named.digest(model_state(problem.model)) == before
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", [n for n in NAMES if registry.plugin_class("importance", n).needs])
def test_a_missing_need_is_named(name):
    problem, score = problems.problem("vectors"), quick(name)
    given = {"examples": problem.retain, "forget": problem.forget}
    for need in score.needs:
        for lacking in (None, problem.forget.take(torch.zeros(0, dtype=torch.int64))):
            parts = {**given, need: lacking}
            with pytest.raises(NotApplicable, match=f"{name} needs examples that|{name} needs the examples"):
                score.scores(
                    problem.model, parts["examples"], problem.recipe, generator_of(0, "x"), forget=parts["forget"]
                )


@dataclasses.dataclass(frozen=True)
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
