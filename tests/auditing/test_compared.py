"""A number beside those of retrained models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lacunar.auditing.compared import Rule, compared, oracles_needed
from lacunar.auditing.rules import decide, judged
from lacunar.core import stats
from lacunar.core.errors import BadInput
from tests.auditing.test_rules import ORACLES, RULE, row


@pytest.mark.parametrize(("name", "side"), [("log_rms_z", 1), ("profile_kl", 1), ("cka_to_oracles", -1)])
def test_some_statistics_differ_to_one_side_only(name, side):
    def p(value):
        return compared(row(value, original=20.0 * side, name=name), RULE).p

    both = stats.prediction(3.0, ORACLES).p
    assert p(3.0 * side) == pytest.approx(stats.prediction(3.0 * side, ORACLES).p / 2)
    assert p(-3.0 * side) > 0.5 > both
    item = compared(row(-8.0 * side, original=20.0 * side, name=name), RULE)
    assert decide(item, item.p, RULE)[0] == "pass", "nearer to the mean of the oracles than they are is no trace"


@pytest.mark.parametrize("settings", [{"alpha": 0.0}, {"alpha": 0.7}, {"rho_star": 0.6}, {"rho_star": 0.0}])
def test_settings_out_of_range(settings):
    with pytest.raises(BadInput, match=next(iter(settings))):
        Rule(**settings)


def test_numbers_of_an_item():
    item = compared(row(1.0), RULE)
    expected = stats.prediction(1.0, ORACLES)
    assert (item.gap, item.gap_low, item.gap_high, item.p) == pytest.approx(tuple(expected))
    assert item.detectable == pytest.approx(expected.high - expected.gap)
    assert (item.rho, item.rho_low, item.rho_high) == pytest.approx(tuple(stats.rho_interval(1.0, 20.0, ORACLES)))
    assert (item.k, item.tier, item.original, item.verdict) == (5, 1, 20.0, "information")


def test_no_residual_fraction_where_the_original_is_not_detected():
    assert compared(row(1.0, original=0.5), RULE).rho is None


def test_a_value_that_an_oracle_lacks_is_not_compared():
    item = compared(row(1.0, oracles=(0.0, 1.0, 2.0, None)), RULE)
    assert item.p is None and item.k == 3
    assert judged([item], ["clipped_did"], [], RULE)[0][0].code == "FAILED"


def test_the_tolerated_loss_may_only_be_tightened():
    assert Rule(worse={"ta": 1.0, "ra": 0.5}).worse["ta"] == 1.0
    with pytest.raises(BadInput, match="may only be tightened"):
        Rule(worse={"ta": 3.0})
    with pytest.raises(BadInput, match=r"ra in \(0, 1\], ta in \(0, 2\]"):
        Rule(worse={"ua": 1.0})


def test_how_many_oracles_would_settle_it():
    item = replace(compared(row(1.0, original=5.0), RULE), code="TOO_FEW")
    k = oracles_needed(item, RULE)
    room = (0.5 - item.rho) * (5.0 - np.mean(ORACLES))
    assert stats.prediction_factor(k) * stats.spread(ORACLES) < room
    assert stats.prediction_factor(k - 1) * stats.spread(ORACLES) >= room
    assert oracles_needed(replace(item, code="NO_POWER", original=0.1), RULE) is None
