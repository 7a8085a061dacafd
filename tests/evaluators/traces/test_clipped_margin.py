"""Means of clipped margins."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from lacunar.auditing.trial import Trial
from lacunar.catalog import registry
from lacunar.core.errors import NotApplicable
from lacunar.evaluators.traces.clipped_margin import ClippedMargin
from lacunar.training import forward


def trial_of(digits, oracles):
    problem = digits.problem(digits.flipped)
    half = (
        digits.test.take(torch.arange(0, len(digits.test), 2)),
        digits.test.take(torch.arange(1, len(digits.test), 2)),
    )
    return Trial(registry.find("methods", "do_nothing")(problem), *half, tuple(oracles))


def values(trial):
    return {m.name: m.value for m in ClippedMargin().measure([trial])}


def test_it_is_the_mean_of_clipped_margins(digits, digits_oracles):
    trial = trial_of(digits, digits_oracles[:3])
    pooled = []
    for oracle in digits_oracles[:3]:
        for part in (trial.part("forget"), trial.part("held_out")):
            pooled += forward.margin(digits.recipe.predict(oracle, part), part.y).tolist()
    low, high = torch.quantile(torch.tensor(pooled, dtype=torch.float64), torch.tensor([0.01, 0.99]).double()).tolist()
    forget = trial.part("forget")
    phi = forward.margin(digits.recipe.predict(trial.outcome.model, forget), forget.y)
    expected = sum(min(max(v, low), high) for v in phi.tolist()) / len(phi)
    assert values(trial)["clipped_mean"] == pytest.approx(expected)


def test_one_extreme_example_moves_it_little(digits, digits_oracles):
    trial = trial_of(digits, digits_oracles[:3])
    model = trial.outcome.model
    louder = copy.deepcopy(model)
    with torch.no_grad():
        louder[-1].weight.mul_(50.0)
        louder[-1].bias.mul_(50.0)
    loud = trial.seen_as(louder)
    plain = {m.name: m.value for m in registry.find("evaluators", "forget_margins").measure([loud])}
    assert abs(plain["residue_mean"]) > 5 * abs(values(loud)["clipped_mean"])


def test_a_forgotten_class_has_a_mean_only(digits, digits_oracles):
    trial = replace(trial_of(digits, digits_oracles[:3]), forgotten_classes=tuple(range(10)))
    found = values(trial)
    assert found["clipped_did"] is None and found["clipped_mean"] is not None


def test_the_usual_range_needs_oracles(digits):
    with pytest.raises(NotApplicable, match="oracles"):
        ClippedMargin().measure([trial_of(digits, ())])
