"""What paired differences over a few seeds can say: a word each after Holm, and the smallest effect that had shown.

A difference is "lower" or "higher" where Holm's adjusted p-value over all differences of its claim is at most 5 %, else
"open". A model that does not fit its training data, before or after retraining, answers nothing about a method: see
:func:`misfit`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from scipy.stats import t

from lacunar.core import stats
from lacunar.lab.pages import plus_minus
from lacunar.lab.table import FEWEST, Comparison, Estimate
from lacunar.report.text import MISSING, number

ALPHA, POWER = 0.05, 0.8
LEAST_FIT, MOST_APART = 99.0, 1.0
"""The gate in points: the original's accuracy on retained rows, and how far retrained models may be from it."""


def paired(one: Estimate, other: Estimate) -> Estimate:
    """The differences of two rows seed by seed; empty where a seed is missing in one of them."""
    if len(one.values) != len(other.values):
        return Estimate()
    return Estimate.of(a - b for a, b in zip(one.values, other.values, strict=True))


def words(differences: Sequence[Estimate]) -> list[str]:
    """Per difference "lower", "higher" or "open", after Holm over all of them; the missing mark without an interval."""
    told = [i for i, difference in enumerate(differences) if difference.mean is not None]
    adjusted = stats.holm([p_value(differences[i]) for i in told])
    found = [MISSING] * len(differences)
    for i, p in zip(told, adjusted, strict=True):
        found[i] = "open" if p > ALPHA else "lower" if (differences[i].mean or 0.0) < 0 else "higher"
    return found


def p_value(difference: Estimate) -> float:
    """Two-sided, of Student's paired test that the mean difference is 0.

    >>> round(p_value(Estimate.of([1.0, 2.0, 3.0])), 4)
    0.0742
    """
    n, mean, spread = len(difference.values), stats.mean(difference.values), stats.spread(difference.values)
    if spread == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * t.sf(abs(mean) * math.sqrt(n) / spread, n - 1))


def smallest_effect(difference: Estimate, family: int = 1) -> float | None:
    r"""The difference that would have been found with 80 % probability as the first of ``family`` in Holm's order.

    :math:`(t_{n-1,\,1-\alpha/2m} + t_{n-1,\,0.8})\, s / \sqrt{n}` with the spread s that was seen, in the unit of the
    difference; None for fewer than 3 seeds.

    >>> round(smallest_effect(Estimate.of([1.0, 2.0, 3.0])), 2)
    3.1
    """
    n = len(difference.values)
    if n < FEWEST:
        return None
    reach = stats.t_quantile(n - 1, ALPHA / family) + float(t.ppf(POWER, n - 1))
    return reach * stats.spread(difference.values) / math.sqrt(n)


def cells(differences: Sequence[Estimate]) -> list[tuple[str, str, str]]:
    """Per difference of one claim: its mean and interval, the smallest effect that had shown, its word."""
    family = sum(difference.mean is not None for difference in differences)
    effects = [smallest_effect(difference, family) for difference in differences]
    return list(zip(map(plus_minus, differences), map(number, effects), words(differences), strict=True))


def fit(comparison: Comparison) -> tuple[float, float]:
    """Accuracy in percent on the rows that stay: of the original, and of models retrained without the others.

    The oracles stand for the retrained models, and the row ``retrain`` where an experiment has none.
    """
    rows: Mapping[str, Estimate] = {row.method: row.values["ra"] for row in comparison.rows}
    return fmean(rows["do_nothing"].values), fmean((comparison.oracle.values["ra"].values) or rows["retrain"].values)


def misfit(comparison: Comparison) -> str:
    """Why a comparison cannot be judged: the net does not fit what stays; empty where it does."""
    original, retrained = fit(comparison)
    if original < LEAST_FIT:
        return f"does not fit: {original:.1f} % of the retained rows before anything is forgotten"
    if abs(original - retrained) > MOST_APART:
        return f"does not fit: retrained models {retrained:.1f} %, the original {original:.1f} %"
    return ""


def note(seeds: int, family: int) -> str:
    """What a reader must know to read :func:`cells`."""
    return (
        f"Mean and Student's 95 % interval over n = {seeds} seeds. Word: after Holm over the {family} "
        f"differences of the claim, at {100 * ALPHA:g} %. Smallest effect: what would have been found with "
        f"{100 * POWER:g} % probability, as the first in Holm's order, at the spread that was seen."
    )
