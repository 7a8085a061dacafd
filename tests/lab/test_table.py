from __future__ import annotations

import math
from dataclasses import replace

import pytest

from lacunar.core.measurement import Measurement
from lacunar.lab.record import Record
from lacunar.lab.table import Estimate, comparable, compare


def record(method, seed, value, seconds=1.0, oracle=None, **more):
    """A record with ua = value and ra = 100 - value."""
    return Record(
        key=f"{method}-{seed}-{oracle}",
        protocol=more.pop("protocol", "p"),
        dataset="d",
        model="m",
        pruner="dense",
        scenario=more.pop("scenario", "s"),
        method=method,
        seed=seed,
        oracle=oracle,
        measurements=(
            Measurement("ua", value, unit="%"),
            Measurement("ra", 100 - value, unit="%"),
            Measurement("margin", value / 10),
            Measurement("broken", None, note="failed"),
        ),
        seconds=seconds,
        forgotten={"count": 10},
        **more,
    )


ORACLES = {0: (5.0, 7.0), 1: (6.0, 6.0), 2: (4.0, 8.0)}
RECORDS = [record("oracle", s, v, 10.0, oracle=j) for s, pair in ORACLES.items() for j, v in enumerate(pair)]
RECORDS += [record("close", s, 6.0 + d, 2.0) for s, d in enumerate((-1.0, 0.0, 2.0))]
RECORDS += [record("far", s, 30.0) for s in range(3)]


@pytest.fixture
def comparison():
    (found,) = compare(RECORDS)
    return found


def row(comparison, method):
    return next(r for r in comparison.rows if r.method == method)


def test_means_and_intervals_equal_a_hand_computation(comparison):
    # Values 5, 6, 8: mean 19/3, s = sqrt(7/3), half-width 4.302653 s / sqrt(3).
    estimate = row(comparison, "close").values["ua"]
    half = 4.3026527 * math.sqrt(7 / 3) / math.sqrt(3)
    assert estimate.values == (5.0, 6.0, 8.0)
    assert (estimate.mean, estimate.low, estimate.high) == pytest.approx((19 / 3, 19 / 3 - half, 19 / 3 + half))


def test_gaps_are_to_the_mean_oracle_of_the_same_seed(comparison):
    assert row(comparison, "close").gaps["ua"].values == (-1.0, 0.0, 2.0)
    assert row(comparison, "close").gaps["ra"].values == (1.0, 0.0, -2.0)


def test_disparity_averages_absolute_gaps_over_measurements_in_percent(comparison):
    assert comparison.disparity == ("ua", "ra")
    assert row(comparison, "close").disparity.values == (1.0, 0.0, 2.0)
    assert row(comparison, "close").disparity.mean == pytest.approx(1.0)


def test_the_oracle_has_a_row_a_spread_and_a_band_of_its_own(comparison):
    # Variances 2, 0, 8 with one degree of freedom each; t with 3 degrees of freedom is 3.182446.
    s = math.sqrt(10 / 3)
    assert comparison.deviation["ua"] == pytest.approx(s)
    assert comparison.band["ua"] == pytest.approx(3.182446 * s * math.sqrt((1 + 1 / 2) / 3))
    assert comparison.oracle.values["ua"].values == (6.0, 6.0, 6.0)
    assert comparison.oracle.disparity.values == (2.0, 0.0, 4.0)
    assert comparison.oracles == 2 and comparison.seeds == (0, 1, 2)
    assert row(comparison, "close").beyond == frozenset()
    assert row(comparison, "far").beyond == {"ua", "ra", "margin"}


def test_cost_is_relative_to_the_oracles(comparison):
    assert row(comparison, "close").ratio.mean == pytest.approx(0.2)
    assert comparison.oracle.seconds.mean == 10.0 and comparison.oracle.ratio.mean == 1.0


def test_on_a_cpu_processor_time_is_compared():
    on_cpu = {"environment": {"hardware": {"device": "cpu"}}}
    loaded = [
        replace(r, cpu_seconds=3.0 if r.method == "close" else 4.0, seconds=float(i), **on_cpu)
        for i, r in enumerate(RECORDS)
    ]
    (found,) = compare(loaded)
    assert row(found, "close").ratio.values == (0.75, 0.75, 0.75)


def test_columns_can_be_chosen(comparison):
    assert comparison.columns == ("ua", "ra", "margin")
    (chosen,) = compare(RECORDS, ["margin", "ua"], ["ua"])
    assert chosen.columns == ("margin", "ua") and chosen.disparity == ("ua",)


def test_two_seeds_have_values_but_no_mean():
    (found,) = compare([r for r in RECORDS if r.seed < 2])
    assert row(found, "close").values["ua"] == Estimate((5.0, 6.0))
    assert row(found, "far").beyond == frozenset()


def test_failures_are_shown_and_do_not_count():
    failed = record("close", 3, 0.0, status="failed", message="it broke")
    broken = record("broken", 0, 0.0, status="not applicable", message="needs a mask")
    (found,) = compare([*RECORDS, failed, broken])
    assert row(found, "close").troubles == ("seed 3: failed: it broke",)
    assert row(found, "close").values["ua"].values == (5.0, 6.0, 8.0)
    assert row(found, "broken").troubles == ("seed 0: not applicable: needs a mask",)
    assert row(found, "broken").values["ua"] == Estimate()


def test_without_oracles_there_are_values_and_no_gaps():
    (found,) = compare([r for r in RECORDS if r.method == "close"])
    assert found.oracles == 0 and found.band == {}
    close = row(found, "close")
    assert close.gaps["ua"] == Estimate() and close.disparity == Estimate() and close.ratio == Estimate()
    assert close.values["ua"].mean is not None


def test_each_scenario_is_a_comparison_of_its_own():
    other = [record("close", s, 1.0, scenario="t") for s in range(3)]
    assert [c.scenario for c in compare([*RECORDS, *other])] == ["s", "t"]


def test_methods_stand_in_one_order_everywhere():
    late = [record(name, s, 1.0, scenario="a") for name in ("far", "close") for s in range(3)]
    assert [[r.method for r in c.rows] for c in compare([*RECORDS, *late])] == [["close", "far"]] * 2


def test_a_method_that_gained_a_setting_counts_once_per_seed():
    # Its line is the same, its key is not; two records of one seed are no two seeds.
    again = [replace(record("close", s, 9.0), key=f"other {s}") for s in range(3)]
    (found,) = compare([*RECORDS, *again])
    assert row(found, "close").values["ua"].values == (9.0, 9.0, 9.0)
    renewed = replace(record("oracle", 0, 1.0, oracle=0), key="other")
    (found,) = compare([*RECORDS, renewed])
    assert found.oracles == 2 and found.oracle.values["ua"].values == (4.0, 6.0, 6.0)


def test_only_records_of_the_last_protocol_stand_in_one_table():
    old = [record("old", s, 1.0, protocol="q") for s in range(3)]
    kept, left_out = comparable([*old, *RECORDS])
    assert {r.method for r in kept} == {"oracle", "close", "far"} and left_out == 3


def test_what_was_said_of_all_seeds_together_keeps_its_own_interval_and_has_no_gap():
    def with_joint(r):
        value = 2.0 if r.oracle is None else 3.0 + r.oracle
        return replace(r, over_seeds=(Measurement("joint", value, 1.0, 5.0, unit="%"), Measurement("none", None)))

    (found,) = compare([with_joint(r) for r in RECORDS])
    assert found.columns == ("ua", "ra", "margin", "joint") and found.disparity == ("ua", "ra")
    close = row(found, "close")
    assert close.values["joint"] == Estimate((2.0,), 2.0, 1.0, 5.0) and close.gaps["joint"] == Estimate()
    assert found.oracle.values["joint"] == Estimate((3.5,)) and "joint" not in found.band
    assert close.disparity.values == (1.0, 0.0, 2.0)
    (asked,) = compare([with_joint(r) for r in RECORDS], ["ua", "none", "never"])
    assert asked.undefined == {"none": "", "never": "no judge measures it"}
