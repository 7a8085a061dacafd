from __future__ import annotations

import math

import pytest
import torch

from lacunar.core import stats
from lacunar.core.errors import NotApplicable
from lacunar.evaluators.attacks.legacy_mia import LegacyMia
from lacunar.evaluators.distances import disparity
from lacunar.evaluators.distances.disparity import Disparity
from lacunar.evaluators.utility.accuracy import Accuracy
from tests.evaluators import toy


@pytest.fixture(scope="module")
def oracles():
    return tuple(toy.Shifted(s) for s in (-0.4, 0.1, 0.5, 0.9))


def by_hand(trial):
    found = toy.values([*Accuracy().one(trial), *LegacyMia().one(trial)])
    return [found[name] for name in disparity.METRICS]


def test_one_trial_by_hand(oracles):
    trial = toy.world(oracles=oracles)
    found = {m.name: m for m in Disparity().measure([trial])}
    ours, theirs = by_hand(trial), [by_hand(t) for t in trial.oracle_trials()]
    means = [sum(column) / 4 for column in zip(*theirs, strict=True)]
    gaps = [a - b for a, b in zip(ours, means, strict=True)]
    assert [found[n].value for n in disparity.METRICS.values()] == pytest.approx(gaps)
    assert found["average_gap"].value == pytest.approx(sum(map(abs, gaps)) / 4)
    assert found["average_gap_per_seed"].value == found["average_gap"].value
    half = stats.prediction_factor(4) * stats.spread([row[0] for row in theirs])
    assert found["gap_ua"].high == pytest.approx(gaps[0] + half)


def test_the_oracles_own_disparity_leaves_each_out(oracles):
    trial = toy.world(oracles=oracles)
    theirs = [by_hand(t) for t in trial.oracle_trials()]
    own = []
    for i, row in enumerate(theirs):
        rest = [r for j, r in enumerate(theirs) if j != i]
        own.append(sum(abs(row[c] - sum(r[c] for r in rest) / 3) for c in range(4)) / 4)
    found = {m.name: m for m in Disparity().measure([trial])}["average_gap_oracle"]
    assert found.value == pytest.approx(sum(own) / 4) and found.value > 0
    assert found.low < found.value < found.high


def test_several_seeds(oracles):
    first = toy.world(oracles=oracles)
    trials = [first.seen_as(toy.Shifted(s)) for s in (0.0, 0.2, -0.2)]
    found = {m.name: m for m in Disparity().measure(trials)}
    values = [by_hand(t)[0] for t in trials]
    theirs = [by_hand(t)[0] for t in first.oracle_trials()]
    assert found["gap_ua"].value == pytest.approx(sum(values) / 3 - sum(theirs) / 4)
    assert found["gap_ua"].low == pytest.approx(stats.welch(values, theirs).low)
    assert found["average_gap"].value <= found["average_gap_per_seed"].value + 1e-9
    assert found["average_gap_per_seed"].low <= found["average_gap_per_seed"].value
    assert found["average_gap_oracle"].n == 4, "oracles that trials share are counted once"


def test_seeds_with_oracles_of_their_own_are_compared_with_those(oracles):
    worlds = [toy.world(oracles=oracles[:2]), toy.world(oracles=oracles[2:]), toy.world(oracles=oracles[1:3])]
    trials = [w.seen_as(toy.Shifted(s)) for w, s in zip(worlds, (0.0, 0.2, -0.2), strict=True)]
    found = {m.name: m for m in Disparity().measure(trials)}
    gaps = [
        [a - (b + c) / 2 for a, b, c in zip(by_hand(t), *map(by_hand, w.oracle_trials()), strict=True)]
        for t, w in zip(trials, worlds, strict=True)
    ]
    half = stats.t_interval([g[0] for g in gaps])
    assert (found["gap_ua"].value, found["gap_ua"].low) == pytest.approx((half.value, half.low))
    means = [sum(column) / 3 for column in zip(*gaps, strict=True)]
    assert found["average_gap"].value == pytest.approx(sum(map(abs, means)) / 4)
    assert found["average_gap_per_seed"].value == pytest.approx(sum(abs(x) for g in gaps for x in g) / 12)
    apart = [[abs(a - b) for a, b in zip(*map(by_hand, w.oracle_trials()), strict=True)] for w in worlds]
    assert found["average_gap_oracle"].value == pytest.approx(sum(x for a in apart for x in a) / 12)
    assert found["average_gap_oracle"].n == 6


def test_one_oracle_has_no_spread(oracles):
    found = {m.name: m for m in Disparity().measure([toy.world(oracles=oracles[:1])])}
    assert found["gap_ua"].low is None
    assert found["average_gap_oracle"].value is None and "no spread" in found["average_gap_oracle"].note


def test_an_undefined_metric_is_left_out_of_the_average(oracles):
    y = torch.zeros(8, dtype=torch.int64)
    part = (toy.logits_for(y, 1.0, noise=1.0), y)
    other = (toy.logits_for(y + 1, 1.0, noise=1.0), y + 1)
    trial = toy.trial(part, other, part, oracles=oracles, forgotten_classes=(0,))
    found = toy.values(Disparity().measure([trial]))
    assert found["gap_ta"] is None and not math.isnan(found["average_gap"])


def test_it_needs_oracles():
    with pytest.raises(NotApplicable, match="retrained oracles"):
        Disparity().measure([toy.world()])
