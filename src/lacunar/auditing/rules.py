"""From numbers to a verdict: what counts as a trace, as damage, as an answer, and as no answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lacunar.auditing.compared import Rule, p_of_original, p_value
from lacunar.auditing.mandatory import AVERAGES, BEYOND_A_MEAN, OF_CLASSES, SINGLE, TAILS
from lacunar.auditing.utility import damage
from lacunar.core import stats
from lacunar.report.evidence import Control, Item

FAILURES = ("INVARIANT", "RESIDUE", "OVER_FORGOTTEN", "UTILITY")
DECISIVE = ("RECIPE_MISMATCH",)
"""What makes every comparison with the oracles void, rejections included."""
UNDECIDED = ("NO_POWER", "TOO_FEW")
BROKEN = 0.01
ELSEWHERE = "; the method takes models that never saw the data elsewhere, so that this rests on the match alone"
SURELY_WIDER = 2.0


def judged(
    items: Sequence[Item], traces: Sequence[str], utility: Sequence[str], rule: Rule
) -> tuple[list[Item], list[Control]]:
    """The items with verdicts on those named; Holm's correction runs over all of them."""
    tested = [i for i in items if i.name in (*traces, *utility) and i.p is not None]
    adjusted = dict(zip((i.name for i in tested), stats.holm([_family_p(i, utility) for i in tested]), strict=True))
    through = _through([i for i in tested if i.name in traces], rule)
    found = []
    for item in items:
        if item.name not in (*traces, *utility):
            verdict, code, reason = "information", "", _at_a_glance(item, rule)
        elif item.name not in adjusted:
            verdict, code, reason = _without_oracles(item)
        elif item.name in utility:
            verdict, code, reason = damage(item, adjusted[item.name], rule.alpha, rule.worse[item.name])
        else:
            others = [adjusted.get(name, 0.0) for name in BEYOND_A_MEAN if name in traces and name != item.name]
            agree = bool(others) and min(others) > rule.alpha
            verdict, code, reason = decide(item, adjusted[item.name], rule, through.get(item.name), agree=agree)
        words = "; ".join(w for w in (reason, item.reason) if w)
        found.append(replace(item, verdict=verdict, code=code, reason=words, mandatory=verdict != "information"))
    return found, [c for item in tested if item.name in traces for c in checks(item, rule)]


def _through(items: Sequence[Item], rule: Rule) -> dict[str, float]:
    """Holm's adjusted p-values against the models that went through the procedure, where there are any."""
    found = {item.name: difference.p for item in items if (difference := against_procedure(item, rule)) is not None}
    return dict(zip(found, stats.holm(list(found.values())), strict=True))


def _at_a_glance(item: Item, rule: Rule) -> str:
    if item.p is None:
        return ""
    return f"{'like' if item.p > rule.alpha else 'unlike'} the oracles (p = {item.p:.2g})"


def _family_p(item: Item, utility: Sequence[str]) -> float:
    assert item.p is not None and item.gap is not None
    return 1.0 if item.name in utility and item.gap >= 0 else item.p


def _without_oracles(item: Item) -> tuple[str, str, str]:
    if item.value is None or item.k:
        return "inconclusive", "FAILED", "could not be measured for every model"
    return "inconclusive", "NO_ORACLE", "there is no retrained model to compare with"


def _words(item: Item) -> str:
    return item.noun or item.name


def _noun(item: Item) -> str:
    return _words(item).removesuffix(",")


def checks(item: Item, rule: Rule) -> list[Control]:
    """Does the test of this item reject the original, and spare held-out oracles?"""
    p, spared = p_of_original(item), item.k - _rejected_oracles(item, rule)
    return [
        Control(
            "original",
            f"{item.name}: rejected",
            f"{'rejected' if p <= rule.alpha else 'not rejected'} (p = {p:.2g})",
            p <= rule.alpha,
        ),
        Control(
            "oracle",
            f"{item.name}: each held-out oracle spared, but for chance",
            f"{spared} of {item.k} spared",
            not _broken(item, rule),
        ),
    ]


def _rejected_oracles(item: Item, rule: Rule) -> int:
    held_out = ((o, item.oracles[:i] + item.oracles[i + 1 :]) for i, o in enumerate(item.oracles))
    return sum(p_value(item, o, others, least=2) <= rule.alpha for o, others in held_out)


def _broken(item: Item, rule: Rule) -> bool:
    return stats.too_many(_rejected_oracles(item, rule), item.k, rule.alpha) < BROKEN


def against_procedure(item: Item, rule: Rule) -> stats.Difference | None:
    """The model against models that went through the same method without having seen the data (Welch).

    One audited model has no spread of its own. It borrows the oracles', or the procedure's own where that is more than
    twice as wide. None where no model went through the procedure.
    """
    assert item.value is not None
    through = item.procedure_on_oracle
    if len(through) < 2:
        return None
    wider = stats.spread(through) > SURELY_WIDER * stats.spread(item.oracles)
    return stats.welch([item.value], through, rule.alpha, lent=through if wider else item.oracles)


def decide(
    item: Item, adjusted: float, rule: Rule, through: float | None = None, *, agree: bool = False
) -> tuple[str, str, str]:
    """Verdict, code and reason of a trace.

    FAIL needs a rejection against the oracles and against procedure-on-oracle models, with both controls in order.
    PASS needs no rejection against the oracles, an original that is rejected, and a residual fraction surely within
    rho_star of 0.

    Args:
        adjusted: the p-value against the oracles after Holm's correction; through: that against models which went
            through the procedure, None where there are none.
        agree: whether what cannot be moved by a shift (single examples, their order against controls) is like
            retrained models; then a method that takes other models elsewhere is no reason to doubt a match.
    """
    if _broken(item, rule):
        count = _rejected_oracles(item, rule)
        return "inconclusive", "CONTROL_BROKEN", f"the same test rejects {count} of {item.k} held-out oracles"
    if p_of_original(item) > rule.alpha:
        return "inconclusive", "NO_POWER", f"not even the original can be told from retrained models by {_noun(item)}"
    unlike_oracles = adjusted <= rule.alpha
    unlike_procedure = unlike_oracles if through is None else through <= rule.alpha
    if unlike_oracles:
        return (_trace if unlike_procedure else _confounded)(item, adjusted, rule)
    if unlike_procedure and not agree:
        return _masked(item)
    return _like_retrained(item, rule, ELSEWHERE if unlike_procedure else "")


def _trace(item: Item, adjusted: float, rule: Rule) -> tuple[str, str, str]:
    assert item.rho is not None
    told = f"residual fraction {item.rho:.2f}, p = {adjusted:.2g}"
    if item.rho < -rule.rho_star:
        why = "is further from the original than retrained models are: what was forgotten stands out"
        return "fail", "OVER_FORGOTTEN", f"{_words(item)} {why} ({told})"
    if item.rho > 1:
        return "fail", "RESIDUE", f"{_words(item)} has moved away from retraining, beyond the original itself ({told})"
    if item.rho < 0:
        return "fail", "RESIDUE", f"{_words(item)} is not like that of retrained models ({told})"
    why = f"still shows {100 * item.rho:.0f} % of the trace that the original has"
    return "fail", "RESIDUE", f"{_words(item)} {why} (p = {adjusted:.2g})"


def _confounded(item: Item, adjusted: float, rule: Rule) -> tuple[str, str, str]:
    why = "differs from retrained models, but no more than the method makes models differ that never saw the data"
    return "inconclusive", "CONFOUNDED", f"{_words(item)} {why}"


def _masked(item: Item) -> tuple[str, str, str]:
    why = "is like that of retrained models, yet the method takes models that never saw the data elsewhere"
    return "inconclusive", "MASKED", f"{_words(item)} {why}"


def _like_retrained(item: Item, rule: Rule, also: str) -> tuple[str, str, str]:
    assert item.rho_low is not None and item.rho_high is not None
    like = f"{_words(item)} is like that of retrained models"
    ends = f"between {item.rho_low:.2f} and {item.rho_high:.2f}"
    # Where only one side shows a difference, a residual fraction below 0 is no trace of anything.
    furthest = item.rho_high if TAILS.get(item.name) else max(-item.rho_low, item.rho_high)
    if furthest > rule.rho_star:
        return "inconclusive", "TOO_FEW", f"{like}, but the residual fraction may lie anywhere {ends}"
    return "pass", "", f"{like}; the residual fraction lies {ends}{also}"


def overall(items: Sequence[Item]) -> tuple[str, str, Item | None]:
    """The verdict, its reason, and the item it hangs on: any failure fails, and only if all pass it is a pass.

    Averages that have no power, or too little to bound what is left, do not stand in the way of one that has; nor do
    statistics that only forgotten classes are asked for. Single examples must have been seen in the original, but what
    is left is bounded on average.
    """
    mandatory = [i for i in items if i.mandatory]
    failed = sorted((i for i in mandatory if i.verdict == "fail"), key=lambda i: FAILURES.index(i.code))
    void = next((i for i in mandatory if i.code in DECISIVE), None)
    if void is not None and not (failed and failed[0].code == "INVARIANT"):
        return "inconclusive", void.reason, void
    if failed:
        also = sorted({i.code for i in failed[1:]} - {failed[0].code})
        return "fail", failed[0].reason + (f" (also: {', '.join(also)})" if also else ""), failed[0]
    open_items = [i for i in mandatory if i.verdict != "pass" and not _excused(i, mandatory)]
    if open_items:
        return "inconclusive", open_items[0].reason, open_items[0]
    if not any(i.verdict == "pass" and i.name in AVERAGES for i in mandatory):
        return "inconclusive", "no statistic that the verdict rests on could be measured", None
    return "pass", "; ".join(i.reason for i in mandatory if i.verdict == "pass" and i.name in AVERAGES), None


def _excused(item: Item, mandatory: Sequence[Item]) -> bool:
    if item.code not in UNDECIDED:
        return False
    if item.name in OF_CLASSES:
        return True
    bounds_nothing = item.name in AVERAGES or (item.name == SINGLE and item.code == "TOO_FEW")
    return bounds_nothing and any(i.name in AVERAGES and i.verdict == "pass" for i in mandatory)
