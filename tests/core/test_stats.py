"""Known answers, calibration and refusals of the statistics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm, ttest_ind

from lacunar.core import stats
from lacunar.core.errors import BadInput
from lacunar.core.rng import numpy_generator
from tests.oracles import statistics as slow

X, Y = (0.9, 0.8, 0.4, 0.7), (0.5, 0.3, 0.4, 0.1, 0.85)


@pytest.mark.parametrize(
    ("k", "alpha", "factor"),
    [
        *[(2, 0.05, 15.6), (3, 0.05, 4.97), (5, 0.05, 3.04), (10, 0.05, 2.37), (20, 0.05, 2.14)],
        *[(3, 0.01, 11.5), (5, 0.01, 5.04), (10, 0.01, 3.41), (20, 0.01, 2.93)],
    ],
)
def test_prediction_factors(k, alpha, factor):
    assert stats.prediction_factor(k, alpha) == pytest.approx(factor, abs=0.05)


def test_prediction_p_and_interval_agree():
    draws = [1.0, 2.0, 3.0, 4.0, 5.0]
    half = stats.prediction_factor(5) * stats.spread(draws)
    assert stats.prediction(3 + half * 1.001, draws).p < 0.05 < stats.prediction(3 + half * 0.999, draws).p
    found = stats.prediction(4.0, draws)
    assert (found.gap, found.low, found.high) == pytest.approx((1.0, 1 - half, 1 + half))


def test_two_oracles_are_refused_by_default():
    with pytest.raises(BadInput, match="at least 3"):
        stats.prediction(1.0, [0.0, 1.0])
    assert stats.prediction(1.0, [0.0, 1.0], least=2).p < 1


def test_equal_draws_reject_any_other_value_unless_a_floor_is_given():
    assert stats.prediction(0.3, [0.1] * 3).p == 0
    assert stats.prediction(0.1, [0.1] * 3).p == 1
    assert stats.prediction(0.3, [0.1] * 3, floor=0.1).p > 0.05


@pytest.mark.parametrize("k", [3, 5, 10])
def test_prediction_rejects_at_its_level(k):
    draws = numpy_generator(k, "calibration").normal(size=(20_000, k + 1))
    rate = np.mean([stats.prediction(row[0], row[1:]).p <= 0.05 for row in draws])
    assert abs(rate - 0.05) < 3 * math.sqrt(0.05 * 0.95 / 20_000)


def test_welch_equals_scipy():
    a, b = (27.5, 21.0, 19.0, 23.6, 17.0), (27.1, 22.0, 20.8, 23.4)
    expected = ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval(0.95)
    found = stats.welch(a, b)
    assert found == pytest.approx((np.mean(a) - np.mean(b), interval.low, interval.high, expected.pvalue))


def test_welch_of_one_value_needs_a_lent_spread():
    with pytest.raises(BadInput, match="group of one"):
        stats.welch([1.0], [0.0, 0.1])
    lent = stats.welch([1.0], [0.0, 0.2], lent=[5.0, 5.2, 5.4])
    error = math.sqrt(stats.spread([5.0, 5.2, 5.4]) ** 2 + stats.spread([0.0, 0.2]) ** 2 / 2)
    assert lent.gap == pytest.approx(0.9)
    freedom = error**4 / (0.04**2 / 2 + 0.01**2 / 1)
    assert lent.high - lent.gap == pytest.approx(stats.t_quantile(freedom, 0.05) * error)
    assert stats.welch([1.0, 1.0], [1.0, 1.0]).p == 1


def test_rho_fixed_and_fieller():
    draws = [-1.0, 0.0, 1.0, 0.5, -0.5]
    fixed = stats.rho_interval(2.0, 20.0, draws, denominator="fixed")
    half = stats.prediction_factor(5) * stats.spread(draws) / 20
    assert fixed == pytest.approx((0.1, 0.1 - half, 0.1 + half))
    fieller = stats.rho_interval(2.0, 20.0, draws)
    reach = stats.t_quantile(4, 0.05) * stats.spread(draws)
    for end in (fieller.low, fieller.high):
        assert abs(2 - 20 * end) == pytest.approx(reach * math.sqrt(1 + (1 - end) ** 2 / 5))
    assert stats.rho_interval(0.0, 0.1, draws) is None, "an original like the oracles has no residual fraction"
    assert stats.rho_interval(0.0, 0.0, draws) is None
    with pytest.raises(BadInput, match="fieller"):
        stats.rho_interval(0.0, 1.0, draws, denominator="exact")


def test_fieller_covers():
    rng = numpy_generator(0, "coverage")
    covered = []
    for rho in (0.0, 0.3, 1.0) * 1500:
        original, draws = 5 + rng.normal(), rng.normal(size=5)
        found = stats.rho_interval(rho * original + rng.normal(), original, draws)
        covered.append(found is None or found.low <= rho <= found.high)
    assert np.mean(covered) >= 0.94


def test_auc_and_delong_known_answer():
    found = stats.delong(X, Y)
    assert found.value == stats.auc(X, Y) == pytest.approx(0.775)
    assert stats.delong_variance(X, Y) == pytest.approx(0.03)
    assert found.low == pytest.approx(0.775 - 1.959964 * math.sqrt(0.03))
    assert found.high == 1.0


def test_auc_equals_all_pairs_with_ties():
    rng = numpy_generator(1, "ties")
    for _ in range(20):
        x, y = rng.integers(0, 6, 13), rng.integers(0, 6, 9)
        assert stats.auc(x, y) == pytest.approx(slow.auc(x, y), abs=1e-12)
        assert stats.delong_variance(x, y) == pytest.approx(slow.delong_variance(x, y), abs=1e-12)
    assert stats.auc([1, 1], [1, 1, 1]) == 0.5


def test_delong_covers():
    rng = numpy_generator(2, "delong")
    shift = norm.ppf(0.7) * math.sqrt(2)
    covered = 0
    for _ in range(1000):
        found = stats.delong(rng.normal(size=60) + shift, rng.normal(size=60))
        covered += found.low <= 0.7 <= found.high
    assert 0.93 <= covered / 1000 <= 0.97


def test_delong_difference_uses_the_covariance():
    rng = numpy_generator(3, "pairs")
    x, y = rng.normal(size=80) + 1, rng.normal(size=70)
    noise = 0.1 * rng.normal(size=80), 0.1 * rng.normal(size=70)
    found = stats.delong_difference(x, y, x + noise[0], y + noise[1])
    apart = math.sqrt(2 * stats.delong_variance(x, y)) * 1.96
    assert found.gap == pytest.approx(stats.auc(x, y) - stats.auc(x + noise[0], y + noise[1]))
    assert found.high - found.gap < apart / 2
    assert stats.delong_difference(x, y, x, y).p == 1
    with pytest.raises(BadInput, match="same items"):
        stats.delong_difference(x, y, x[1:], y)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(3, 60, 0.0104, 0.1392), (0, 5, 0.0, 0.5218), (5, 5, 0.4782, 1)]
)
def test_clopper_pearson(hits, n, low, high):
    assert stats.clopper_pearson(hits, n) == pytest.approx((hits / n, low, high), abs=5e-5)


@pytest.mark.parametrize(("n", "limit"), [(20, 0.139), (60, 0.049), (100, 0.030), (300, 0.0099), (1000, 0.003)])
def test_upper_limit_of_no_hits(n, limit):
    assert stats.clopper_pearson(0, n, alpha=0.1).high == pytest.approx(limit, abs=5e-4)


def test_no_tpr_between_the_points_of_the_roc():
    assert stats.tpr_at_fpr([1.0] * 10, np.arange(500) / 500, 1e-5) is None
    negatives = np.arange(500.0)
    assert stats.tpr_at_fpr([493.5, 494.5, 495.5], negatives, 0.01).value == pytest.approx(2 / 3)
    assert stats.tpr_at_fpr([494.0], negatives, 0.01).value == 0, "a tie with the threshold is not above it"
    assert stats.tpr_at_fpr([1.0, 2.0], [0.0] * 500, 0.01).value == 1
    assert stats.tpr_at_fpr([1.0], [2.0] * 500, 0.01).value == 0, "ties of negatives never raise the FPR above f"


def test_holm():
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert stats.holm([]) == []


def test_too_many_rejections_of_oracles():
    assert stats.too_many(0, 5) == 1
    assert stats.too_many(3, 5) < 0.01 < stats.too_many(2, 5)


def test_intervals_over_seeds():
    values = [1.0, 2.0, 3.0]
    found = stats.t_interval(values)
    assert (found.value, found.high - 2) == pytest.approx((2.0, 4.302653 / math.sqrt(3)))
    boot = stats.bootstrap_interval(values, numpy_generator(0, "bootstrap"))
    assert boot.value == 2 and 1 <= boot.low < 2 < boot.high <= 3
    for interval in (stats.t_interval, lambda v: stats.bootstrap_interval(v, numpy_generator(0))):
        with pytest.raises(BadInput, match="at least 2"):
            interval([1.0])


def test_refusals():
    with pytest.raises(BadInput, match="both groups"):
        stats.auc([], [1.0])
    with pytest.raises(BadInput, match="two members"):
        stats.delong([1.0], [1.0, 2.0])
    with pytest.raises(BadInput, match="got 3 of 2"):
        stats.clopper_pearson(3, 2)
