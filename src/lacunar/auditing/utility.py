"""Does the model still work? Not worse than retrained models, by more than absence of evidence."""

from __future__ import annotations

from lacunar.core import stats
from lacunar.report.evidence import Item

WORSE = {"ra": 1.0, "ta": 2.0}
"""By how many points accuracy may not lie below that of retrained models for a pass; a rule may only tighten it."""
LEAST = 0.5
"""A loss of fewer points than this is no damage, however surely it is there."""
ABOVE = 1.0
"""Points by which a model may lie above all that retraining explains before its test examples are in doubt."""


def damage(item: Item, adjusted: float, alpha: float, worse: float) -> tuple[str, str, str]:
    r"""Verdict, code and reason of an accuracy in %, by non-inferiority to the oracles.

    FAIL: below what one more retrained model would have (t-prediction, Holm's correction), by more than half a point.
    PASS: the upper end of :math:`m - v \pm t_{k-1,1-\alpha}\, s/\sqrt k`, the loss against the oracles' mean, is below
    ``worse`` points. Else the question is open. A test accuracy far above that of retrained models is no achievement of
    forgetting: the test examples may have been trained on.
    """
    assert item.value is not None and item.p is not None and item.gap is not None
    name, centre = item.noun or item.name, stats.mean(item.oracles)
    told = f"{name} is {item.value:.1f} %, retrained models have {centre:.1f} % on average"
    if adjusted <= alpha and item.gap < -LEAST:
        return "fail", "UTILITY", f"{told}, surely more"
    if item.name == "ta" and item.gap > ABOVE and item.p / 2 <= 0.01:
        return "inconclusive", "CONTROL_BROKEN", f"{told}, surely less: were the test examples trained on?"
    half = stats.t_quantile(item.k - 1, 2 * alpha) * stats.spread(item.oracles) / item.k**0.5
    if -item.gap + half < worse:
        return "pass", "", told
    return "inconclusive", "UTILITY_OPEN", f"{told}; a loss of {worse:g} points cannot be excluded"
