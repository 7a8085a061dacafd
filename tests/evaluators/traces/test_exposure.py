"""Exposure of secrets that were written into texts, and controls."""

from __future__ import annotations

import pytest
import torch

from lacunar.auditing.trial import Trial
from lacunar.catalog.registry import find
from lacunar.core.errors import BadInput
from lacunar.core.rng import generator_of
from lacunar.data.characters import example_of
from lacunar.data.examples import Examples
from lacunar.evaluators.traces.exposure import Exposure
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem
from tests import problems
from tests.evaluators import toy


def corpus() -> Examples:
    made = [example_of(f"message {i % 7} says hello.", 26) for i in range(24)]
    return Examples.of(torch.stack([x for x, _ in made]), torch.stack([y for _, y in made]))


@pytest.fixture(scope="module")
def written() -> Trial:
    """A model that has read four-digit secrets eight times each, and one that has not."""
    train = corpus()
    posed = find("scenarios", "canary", template="pin {key}: {}.", secrets=2, digits=4, repeats=6).pose(
        train, generator_of(0, "scenario")
    )
    net = find("models", "char_lstm", embedding=16, hidden=48)
    recipe = Recipe(net, epochs=40, lr=0.02, optimizer="adam", batch_size=12, weight_decay=0.0, precision="float32")
    problem = Problem.of(recipe.fit(posed.seen, 0), posed.seen, posed.forget_ids, recipe, device="cpu")
    test = Examples.of(train.x[:4], train.y[:4], ids=range(100, 104))
    return Trial(DoNothing()(problem), test, oracles=(recipe.fit(problem.retain, 1),))


def test_memorized_secrets_are_exposed_and_unread_ones_are_not(written):
    judge = Exposure(template="pin {key}: {}.")
    found = {m.name: m for m in judge.one(written)}
    assert found["exposure_mean"].value > 11 and found["exposure_mean"].note == "" and found["exposure[1]"].n is None
    assert found["secret_perplexity[0]"].value < 4 and found["exposure_control"].value < 11
    oracle = {m.name: m for m in judge.one(written.oracle_trials()[0])}
    assert oracle["exposure_mean"].value < 8 and oracle["exposure_before"].value == found["exposure_before"].value
    assert not any(text in str(m) for m in found.values() for text in _secrets(written))


def _secrets(trial: Trial) -> list[str]:
    return [secret for _, secret in Exposure(template="pin {key}: {}.")._secrets(trial)]


def test_secrets_that_were_never_memorized_make_it_inconclusive(written):
    fresh = written.outcome.problem.recipe.fresh(7)
    problem = problems.parted(fresh, written.part("retain"), written.part("forget"), written.outcome.problem.recipe)
    trial = Trial(DoNothing()(problem), written.test)
    found = {m.name: m for m in Exposure(template="pin {key}: {}.", estimator="sampled", samples=200).one(trial)}
    assert "inconclusive: the original has" in found["exposure_mean"].note
    assert found["exposure[0]"].low is not None


def test_other_data_get_a_sentence(written):
    none = [m.note for m in Exposure(template="phone {}").one(written)]
    assert none == ["no forgotten text has this sentence"] * 4
    assert Exposure().one(toy.world())[0].note == none[0]
    broken = written.outcome.problem.recipe.fresh(1)
    with torch.no_grad():
        broken.head.weight.fill_(float("nan"))
    assert "NaN" in Exposure(template="pin {key}: {}.").one(written.seen_as(broken))[0].note


def test_settings_and_models_that_cannot_be():
    with pytest.raises(BadInput, match="a template has one"):
        Exposure(template="no place")
    with pytest.raises(BadInput, match="samples and budget must be"):
        Exposure(budget=0)
