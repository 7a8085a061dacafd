"""Words no firmer than the interval, the smallest effect, and the gate."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.contrasts import cells, fit, misfit, note, p_value, paired, smallest_effect, words
from scipy.stats import t, ttest_rel

from lacunar.core.measurement import Measurement
from lacunar.lab.record import Record
from lacunar.lab.table import Estimate, compare


def test_pairs_need_the_same_seeds():
    assert paired(Estimate.of([1.0, 2.0, 3.0]), Estimate.of([1.0])).mean is None
    assert paired(Estimate.of([1.0, 2.0, 3.5]), Estimate.of([0.0, 1.0, 2.0])).values == (1.0, 1.0, 1.5)


def test_the_p_value_is_that_of_the_paired_test():
    a, b = np.random.default_rng(0).normal(size=(2, 6))
    assert p_value(paired(Estimate.of(a), Estimate.of(b))) == pytest.approx(ttest_rel(a, b).pvalue)
    assert p_value(Estimate.of([1.0, 1.0, 1.0])) == 0 and p_value(Estimate.of([0.0, 0.0, 0.0])) == 1


def test_a_word_is_only_as_firm_as_holm_allows():
    # p = .02 alone; one of four it is open, and a firm one keeps its word.
    weak, firm, missing = Estimate.of([1.0, 1.3, 1.7]), Estimate.of([-1.0, -1.0, -1.001]), Estimate.of([1.0])
    assert 0.0125 < p_value(weak) < 0.05
    assert words([weak]) == ["higher"]
    assert words([weak, Estimate.of([-1.0, 0.0, 1.0]), missing, firm, Estimate.of([-2.0, 1.0, 1.0])]) == [
        *("open", "open", "–", "lower", "open")
    ]
    assert words([]) == []


@pytest.mark.parametrize("family", [1, 4])
def test_the_smallest_effect_is_found_with_80_percent_probability(family):
    # Simulated: the share of experiments with that effect whose p-value passes the first step of Holm.
    rng, n, draws = np.random.default_rng(1), 10, 20_000
    effect = smallest_effect(Estimate.of(_unit(n)), family)
    data = rng.normal(effect, 1.0, size=(draws, n))
    statistic = data.mean(1) / data.std(1, ddof=1) * np.sqrt(n)
    assert (2 * t.sf(abs(statistic), n - 1) <= 0.05 / family).mean() == pytest.approx(0.8, abs=0.04)
    assert smallest_effect(Estimate.of([1.0, 2.0])) is None


def _unit(n: int) -> list[float]:
    values = np.arange(n, dtype=float)
    return list((values - values.mean()) / values.std(ddof=1))


def test_a_cell_has_the_difference_the_effect_and_the_word():
    (cell, none) = cells([Estimate.of([1.0, 2.0, 3.0]), Estimate()])
    assert cell == ("2.0 ± 2.5", "3.1", "open") and none == ("–", "–", "–")
    assert "n = 3" in note(3, 24) and "over the 24" in note(3, 24) and "80 %" in note(3, 24)


def comparison(original: float, retrained: float, oracle: float | None = None):
    levels = {"do_nothing": original, "retrain": retrained} | ({} if oracle is None else {"oracle": oracle})
    records = [
        Record(
            f"{name}{seed}", "p", "d", "m", "dense", "s", name, seed, 0 if name == "oracle" else None,
            forgotten={"count": 3}, measurements=(Measurement("ra", level, unit="%"),),
        )
        for name, level in levels.items()
        for seed in range(3)
    ]  # fmt: skip
    (made,) = compare(records)
    return made


def test_the_gate_asks_for_a_net_that_fits_before_and_after_retraining():
    assert misfit(comparison(99.5, 98.6)) == "" and misfit(comparison(99.0, 100.0)) == ""
    assert misfit(comparison(98.9, 98.9)) == "does not fit: 98.9 % of the retained rows before anything is forgotten"
    assert misfit(comparison(99.9, 98.8)) == "does not fit: retrained models 98.8 %, the original 99.9 %"


def test_oracles_stand_for_retraining_and_the_row_retrain_where_there_are_none():
    assert fit(comparison(99.5, 90.0, oracle=99.0)) == pytest.approx((99.5, 99.0))
    assert fit(comparison(99.5, 90.0)) == pytest.approx((99.5, 90.0))
