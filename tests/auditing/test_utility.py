"""Non-inferiority of accuracies."""

from __future__ import annotations

import statistics

import pytest

from lacunar.auditing.compared import Rule, compared
from lacunar.auditing.utility import damage
from tests.auditing.test_rules import row

WIDE = (95.0, 92.0, 97.0, 93.5, 96.5)
NARROW = (95.0, 95.2, 94.8, 95.1, 94.9)


def verdict(value, oracles=NARROW, name="ta", worse=2.0, adjusted=None):
    item = compared(row(value, original=95.0, oracles=oracles, name=name, unit="%", n=500), Rule())
    return damage(item, item.p if adjusted is None else adjusted, 0.05, worse)[:2]


def test_a_sure_loss_of_more_than_half_a_point_is_damage():
    assert verdict(90.0) == ("fail", "UTILITY")
    tight = (95.0, 95.001, 94.999, 95.0, 95.0)
    assert verdict(94.6, tight, adjusted=0.001) == ("pass", ""), "sure, but less than half a point"


def test_a_pass_excludes_a_loss_and_is_no_absence_of_evidence():
    assert verdict(94.8) == ("pass", "")
    assert verdict(93.0, WIDE) == ("inconclusive", "UTILITY_OPEN")
    assert verdict(95.0, WIDE) == ("pass", "")
    assert verdict(94.6, WIDE, worse=1.0) == ("inconclusive", "UTILITY_OPEN")


def test_the_end_of_the_interval_is_that_of_the_mean():
    # m - v + t(4, .95) s / sqrt(5), the t-quantile 2.131847 from a table.
    m, s = 94.8, 2.079663
    limit = m + 2.131847 * s / 5**0.5 - 2.0
    assert verdict(limit + 0.01, WIDE) == ("pass", "") and verdict(limit - 0.01, WIDE)[1] == "UTILITY_OPEN"


def test_far_above_retraining_the_test_examples_are_in_doubt():
    assert verdict(99.0) == ("inconclusive", "CONTROL_BROKEN")
    assert verdict(99.0, name="ra") == ("pass", ""), "retained examples were trained on"
    assert verdict(95.9) == ("pass", ""), "less than a point above"


def test_a_loss_that_holm_does_not_leave_is_open():
    assert verdict(92.0, adjusted=0.2) == ("inconclusive", "UTILITY_OPEN")
    assert pytest.approx(2.079663, abs=1e-5) == statistics.stdev(WIDE)
