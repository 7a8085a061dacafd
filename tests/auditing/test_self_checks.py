"""Checks of the audit itself, on models whose truth is known."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from lacunar.auditing.comparison import Panel
from lacunar.auditing.self_checks import self_checks
from lacunar.auditing.trial import Trial
from lacunar.catalog import registry


def panel_of(digits, oracles, model=None):
    problem = digits.problem(digits.flipped)
    if model is not None:
        problem = replace(problem, model=model)
    half = (
        digits.test.take(torch.arange(0, len(digits.test), 2)),
        digits.test.take(torch.arange(1, len(digits.test), 2)),
    )
    trial = Trial(registry.find("methods", "do_nothing")(problem), *half, tuple(oracles))
    return Panel.of(trial, ())


def found(panel):
    items, controls = self_checks(panel, 0.05)
    return {i.name: i for i in items}, {c.name: c for c in controls}


def test_models_of_one_recipe_are_in_order(digits, digits_oracles):
    items, controls = found(panel_of(digits, digits_oracles[:5]))
    assert {name: item.verdict for name, item in items.items()} == {"recipe": "pass", "pseudo_requests": "pass"}
    assert all(control.ok for control in controls.values()) and set(controls) == {"recipe", "pseudo requests"}
    assert all(item.mandatory for item in items.values())


def test_oracles_of_a_shorter_training_are_a_wrong_recipe(digits):
    short = replace(digits.recipe, epochs=1, lr=0.01)
    oracles = [short.fit(digits.train.without(digits.flipped), seed) for seed in range(5)]
    items, controls = found(panel_of(digits, oracles))
    assert (items["recipe"].verdict, items["recipe"].code) == ("inconclusive", "RECIPE_MISMATCH")
    assert "this is not how the original was trained" in items["recipe"].reason
    assert "accuracy on retained data" in items["recipe"].reason and not controls["recipe"].ok


def test_one_oracle_of_another_kind_shows_on_requests_that_none_saw(digits, digits_oracles):
    odd = copy.deepcopy(digits_oracles[5])
    with torch.no_grad():
        odd[-1].weight.mul_(30.0)
    items, controls = found(panel_of(digits, [*digits_oracles[:5], odd]))
    assert not controls["pseudo requests"].ok
    assert (items["pseudo_requests"].verdict, items["pseudo_requests"].code) == ("inconclusive", "CONTROL_BROKEN")


def test_too_few_oracles_or_examples_check_nothing(digits, digits_oracles):
    assert self_checks(panel_of(digits, ()), 0.05) == ([], [])
    problem = digits.problem(digits.flipped[:5])
    trial = Trial(registry.find("methods", "do_nothing")(problem), digits.test, digits.test, tuple(digits_oracles[:3]))
    items, _ = self_checks(Panel.of(trial, ()), 0.05)
    assert [item.name for item in items] == ["recipe"], "five examples make no request that shows anything"


@pytest.mark.parametrize("points", [1.0, 3.5])
def test_a_difference_counts_only_if_it_is_large_as_well(monkeypatch, digits, digits_oracles, points):
    from lacunar.auditing import self_checks as module

    fits = iter([(96.0, 0.1), *[(96.0 + points + 0.01 * i, 0.1) for i in range(5)]])
    monkeypatch.setattr(module, "accuracy", lambda z, y: next(fits)[0] / 100)
    items, _ = found(panel_of(digits, digits_oracles[:5]))
    assert (items["recipe"].code == "RECIPE_MISMATCH") is (points > module.POINTS)
