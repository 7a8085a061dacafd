"""Tests and intervals for comparing one model, or a few, with retrained ones: pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy import special, stats

from lacunar.core.errors import BadInput

Values: TypeAlias = Sequence[float] | np.ndarray[Any, Any]

_GRAIN = 1e-9  # 0.29 * 100 is 28.999999999999996


class Interval(NamedTuple):
    """A value with the ends of its interval."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """A difference with the ends of its interval and the two-sided p-value of "it is zero"."""

    gap: float
    low: float
    high: float
    p: float


def spread(values: Values) -> float:
    """The sample standard deviation (n - 1 in the denominator); 0 for equal values, whatever rounding says."""
    array = np.asarray(values, dtype=np.float64)
    return 0.0 if np.ptp(array) == 0 else float(array.std(ddof=1))


def mean(values: Values) -> float:
    """The mean; of equal values exactly that value."""
    array = np.asarray(values, dtype=np.float64)
    return float(array[0] + (array - array[0]).mean())


def t_quantile(freedom: float, alpha: float) -> float:
    """The 1 - alpha/2 quantile of Student's t."""
    return float(special.stdtrit(freedom, 1 - alpha / 2))


def _two_sided(gap: float, error: float, freedom: float) -> float:
    if error == 0:
        return 1.0 if gap == 0 else 0.0
    return 2 * float(special.stdtr(freedom, -abs(gap) / error))


def prediction_factor(k: int, alpha: float = 0.05) -> float:
    r"""How many sample deviations of k draws one more draw may lie off: :math:`t_{k-1,1-\alpha/2}\sqrt{1 + 1/k}`."""
    return t_quantile(k - 1, alpha) * math.sqrt(1 + 1 / k)


def prediction(value: float, draws: Values, alpha: float = 0.05, *, floor: float = 0.0, least: int = 3) -> Difference:
    r"""Is ``value`` one more draw like ``draws``? The t-prediction test of one model against k retrained ones.

    Rejected at level alpha iff :math:`|T_u - m| > t_{k-1,1-\alpha/2}\, s \sqrt{1 + 1/k}`; exact for normal draws.

    Args:
        floor: the smallest credible deviation, for a statistic on a grid on which all draws may agree.
        least: the smallest k that is accepted.

    Returns:
        The gap :math:`T_u - m` with its interval; p <= alpha iff the interval excludes 0.

    Raises:
        BadInput: fewer than ``least`` draws; with two, the interval has 15.6 deviations to either side.
    """
    k = len(draws)
    if k < least:
        raise BadInput(f"{k} retrained models are too few to know their spread; train at least {least}")
    gap = value - mean(draws)
    error = max(spread(draws), floor) * math.sqrt(1 + 1 / k)
    half = t_quantile(k - 1, alpha) * error
    return Difference(gap, gap - half, gap + half, _two_sided(gap, error, k - 1))


def welch(a: Values, b: Values, alpha: float = 0.05, *, lent: Values | None = None) -> Difference:
    """The difference of the means of ``a`` and ``b``, their variances not assumed equal (Welch, Satterthwaite).

    Args:
        lent: when ``a`` is a single value, draws whose spread stands for its own.

    Raises:
        BadInput: a group of one with nothing lent.
    """
    gap = mean(a) - mean(b)
    parts = []
    for group, source in ((a, a if len(a) > 1 or lent is None else lent), (b, b)):
        if len(source) < 2:
            raise BadInput("a group of one value has no spread; give at least two")
        parts.append((spread(source) ** 2 / len(group), len(source) - 1))
    total = sum(v for v, _ in parts)
    freedom = total**2 / sum(v**2 / f for v, f in parts) if total > 0 else 1.0
    half = t_quantile(freedom, alpha) * math.sqrt(total)
    return Difference(gap, gap - half, gap + half, _two_sided(gap, math.sqrt(total), freedom))


def rho_interval(
    value: float, original: float, draws: Values, alpha: float = 0.05, *, denominator: str = "fieller"
) -> Interval | None:
    r"""The residual fraction :math:`\rho = (T_u - m)/(T_o - m)`: 1 = nothing forgotten, 0 = like a retrained model.

    "fixed" divides the prediction interval by :math:`|T_o - m|`. "fieller" (our reading) also counts the error of m
    below the line: :math:`\rho` belongs to it iff
    :math:`|T_u - \rho T_o - (1-\rho) m| \le t\,s \sqrt{1 + (1-\rho)^2/k}`.

    Returns:
        None where the interval is unbounded: the original itself cannot be told from the draws.

    Raises:
        BadInput: fewer than 3 draws, or another denominator.
    """
    if denominator not in ("fieller", "fixed"):
        raise BadInput(f"denominator must be 'fieller' or 'fixed', got {denominator!r}")
    fixed = prediction(value, draws, alpha)
    k, span = len(draws), original - mean(draws)
    if span == 0:
        return None
    ratio = fixed.gap / span
    if denominator == "fixed":
        half = (fixed.high - fixed.gap) / abs(span)
        return Interval(ratio, ratio - half, ratio + half)
    reach = (t_quantile(k - 1, alpha) * spread(draws)) ** 2
    a, b, c = span**2 - reach / k, reach / k - fixed.gap * span, fixed.gap**2 - reach * (1 + 1 / k)
    if a <= 0:
        return None
    root = math.sqrt(max(b * b - a * c, 0.0))
    return Interval(ratio, (-b - root) / a, (-b + root) / a)


def _placements(positive: Values, negative: Values) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    x, y = np.asarray(positive, dtype=np.float64), np.asarray(negative, dtype=np.float64)
    if len(x) == 0 or len(y) == 0:
        raise BadInput(f"an AUC needs both groups, got {len(x)} positives and {len(y)} negatives")
    ranks = stats.rankdata(np.concatenate([x, y]))
    v10 = (ranks[: len(x)] - stats.rankdata(x)) / len(y)
    v01 = 1 - (ranks[len(x) :] - stats.rankdata(y)) / len(x)
    return v10, v01


def auc(positive: Values, negative: Values) -> float:
    """The probability that a positive scores higher than a negative, ties counted half (midranks); in [0, 1].

    Raises:
        BadInput: a group without members.
    """
    return float(_placements(positive, negative)[0].mean())


def delong(positive: Values, negative: Values, alpha: float = 0.05) -> Interval:
    r"""The AUC with DeLong's interval, cut to [0, 1]: conditional on the model, over items like these.

    :math:`\mathrm{var} = \mathrm{var}(V_{10})/n_1 + \mathrm{var}(V_{01})/n_0`, placements
    :math:`V_{10,i} = \mathrm{mean}_j\,\psi(x_i, y_j)` (DeLong et al., Biometrics 1988; ranks after Sun and Xu 2014).

    Raises:
        BadInput: a group with fewer than two members.
    """
    value = auc(positive, negative)
    half = _normal(alpha) * math.sqrt(delong_variance(positive, negative))
    return Interval(value, max(value - half, 0.0), min(value + half, 1.0))


def delong_variance(positive: Values, negative: Values) -> float:
    """The variance of the AUC in :func:`delong`."""
    v10, v01 = _placements(positive, negative)
    return _variance(v10, v01)


def delong_difference(
    positive_a: Values, negative_a: Values, positive_b: Values, negative_b: Values, alpha: float = 0.05
) -> Difference:
    """AUC of model a minus AUC of model b on the same items in the same order, with the covariances of DeLong.

    Raises:
        BadInput: items that differ in number.
    """
    a, b = _placements(positive_a, negative_a), _placements(positive_b, negative_b)
    if len(a[0]) != len(b[0]) or len(a[1]) != len(b[1]):
        raise BadInput("the difference of two AUCs needs the same items under both models")
    gap = float(a[0].mean() - b[0].mean())
    error = math.sqrt(_variance(a[0] - b[0], a[1] - b[1]))
    half = _normal(alpha) * error
    return Difference(gap, gap - half, gap + half, _two_sided(gap, error, math.inf))


def _variance(v10: np.ndarray[Any, Any], v01: np.ndarray[Any, Any]) -> float:
    if min(len(v10), len(v01)) < 2:
        raise BadInput("the interval of an AUC needs at least two members in each group")
    return spread(v10) ** 2 / len(v10) + spread(v01) ** 2 / len(v01)


def _normal(alpha: float) -> float:
    return float(special.ndtri(1 - alpha / 2))


def clopper_pearson(hits: int, n: int, alpha: float = 0.05) -> Interval:
    """The exact interval of a rate: ``hits`` of ``n``.

    Raises:
        BadInput: no trials, or more hits than trials.
    """
    if not 0 <= hits <= n or n == 0:
        raise BadInput(f"a rate needs 0 <= hits <= n and n > 0, got {hits} of {n}")
    low = special.betaincinv(hits, n - hits + 1, alpha / 2) if hits else 0.0
    high = special.betaincinv(hits + 1, n - hits, 1 - alpha / 2) if hits < n else 1.0
    return Interval(hits / n, float(low), float(high))


def threshold_at(negative: Values, fpr: float) -> float:
    """The lowest threshold that at most a share ``fpr`` of the negatives exceed."""
    y = np.sort(np.asarray(negative, dtype=np.float64))[::-1]
    allowed = math.floor(fpr * len(y) + _GRAIN)
    return float(y[allowed]) if allowed < len(y) else -math.inf


def tpr_at_fpr(positive: Values, negative: Values, fpr: float, alpha: float = 0.05) -> Interval | None:
    """The true positive rate at the lowest threshold whose false positive rate is at most ``fpr``; no interpolation.

    Returns:
        None, "not estimable", when fewer than 5 negatives are expected above the threshold (fpr * n_neg < 5). The
        interval is Clopper and Pearson's over the positives, the threshold taken as given.
    """
    if fpr * len(negative) + _GRAIN < 5:
        return None
    hits = int((np.asarray(positive, dtype=np.float64) > threshold_at(negative, fpr)).sum())
    return clopper_pearson(hits, len(positive), alpha)


def holm(p_values: Values) -> list[float]:
    """Holm's adjusted p-values, in the order given: those <= alpha are rejected with family-wise error alpha."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(v) for v in adjusted]


def too_many(rejections: int, trials: int, alpha: float = 0.05) -> float:
    """The probability of at least this many rejections when each has probability alpha: a broken control is rare."""
    return float(stats.binom.sf(rejections - 1, trials, alpha))


def t_interval(values: Values, alpha: float = 0.05) -> Interval:
    """The mean over seeds with Student's interval.

    Raises:
        BadInput: fewer than 2 values.
    """
    if len(values) < 2:
        raise BadInput(f"an interval over seeds needs at least 2 values, got {len(values)}")
    centre = mean(values)
    half = t_quantile(len(values) - 1, alpha) * spread(values) / math.sqrt(len(values))
    return Interval(centre, centre - half, centre + half)


def bootstrap_interval(
    values: Values, rng: np.random.Generator, alpha: float = 0.05, resamples: int = 2000
) -> Interval:
    """The mean over seeds with the percentile bootstrap interval; for few values :func:`t_interval` is wider and safer.

    Raises:
        BadInput: fewer than 2 values.
    """
    if len(values) < 2:
        raise BadInput(f"an interval over seeds needs at least 2 values, got {len(values)}")
    data = np.asarray(values, dtype=np.float64)
    means = data[rng.integers(len(data), size=(resamples, len(data)))].mean(1)
    low, high = np.quantile(means, [alpha / 2, 1 - alpha / 2])
    return Interval(float(data.mean()), float(low), float(high))
