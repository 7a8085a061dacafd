"""From numbers to a verdict: what counts as a trace, as damage, as an answer, and as no answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lacunar.auditing.comparison import Row
from lacunar.core import stats
from lacunar.core.errors import BadInput
from lacunar.report.evidence import Control, Item

FAILURES = ("INVARIANT", "RESIDUE", "OVER_FORGOTTEN", "UTILITY")
BROKEN = 0.01
SURELY_WIDER = 2.0


@dataclass(frozen=True)
class Rule:
    """What the verdict depends on besides the numbers.

    Attributes:
        alpha: family-wise error of the mandatory items, and of the intervals.
        rho_star: the largest residual fraction that a pass leaves possible; 0.5 may only be tightened.
        denominator: how the interval of the residual fraction is made, see :func:`lacunar.core.stats.rho_interval`.
    """

    alpha: float = 0.05
    rho_star: float = 0.5
    denominator: str = "fieller"

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise BadInput(f"alpha is an error rate in (0, 0.5), got {self.alpha}")
        if not 0 < self.rho_star <= 0.5:
            raise BadInput(f"rho_star may only be tightened, to a value in (0, 0.5], got {self.rho_star}")


def compared(row: Row, rule: Rule) -> Item:
    """The row as an item of information: gap to the oracles with its prediction interval, p, residual fraction.

    The residual fraction is given only where the original itself can be told from the oracles.
    """
    ours, oracles = row.unlearned, _known(row.oracles)
    item = Item(
        row.name,
        reason=ours.note,
        tier=1 if row.oracles else 0,
        value=ours.value,
        low=ours.low,
        high=ours.high,
        oracles=oracles,
        procedure_on_oracle=_known(row.procedure),
        original=row.original,
        n=ours.n,
        k=len(oracles),
        direction=ours.direction,
        unit=ours.unit,
        formula="" if row.measure is None else str(row.measure),
        paper=row.paper,
        plain="" if row.measure is None else row.measure.plain,
        noun="" if row.measure is None else row.measure.noun,
    )
    if ours.value is None or item.k < 3 or item.k < len(row.oracles):
        return item
    gap, low, high, p = stats.prediction(ours.value, oracles, rule.alpha, floor=_grain(item))
    item = replace(item, gap=gap, gap_low=low, gap_high=high, p=p, detectable=high - gap)
    if item.original is None or _positive(item) > rule.alpha:
        return item
    between = stats.rho_interval(ours.value, item.original, oracles, rule.alpha, denominator=rule.denominator)
    assert between is not None, "an original that is rejected bounds the residual fraction"
    return replace(item, rho=between.value, rho_low=between.low, rho_high=between.high)


def _known(values: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(v for v in values if v is not None)


def _grain(item: Item) -> float:
    # Rates of n examples lie on a grid; oracles that agree to the last example have a spread below one step, not 0.
    return 100 / item.n if item.unit == "%" and item.n else 0.0


def judged(
    items: Sequence[Item], residue: Sequence[str], utility: Sequence[str], rule: Rule
) -> tuple[list[Item], list[Control]]:
    """The items with verdicts on those named; Holm's correction runs over all of them."""
    tested = [i for i in items if i.name in (*residue, *utility) and i.p is not None]
    adjusted = dict(zip((i.name for i in tested), stats.holm([_family_p(i, utility) for i in tested]), strict=True))
    found = []
    for item in items:
        if item.name not in (*residue, *utility):
            verdict, code, reason = "information", "", _at_a_glance(item, rule)
        elif item.name not in adjusted:
            verdict, code, reason = _without_oracles(item)
        elif item.name in utility:
            verdict, code, reason = _utility(item, adjusted[item.name], rule)
        else:
            verdict, code, reason = decide(item, adjusted[item.name], rule)
        words = "; ".join(w for w in (reason, item.reason) if w)
        found.append(replace(item, verdict=verdict, code=code, reason=words, mandatory=verdict != "information"))
    return found, [c for item in tested if item.name in residue for c in checks(item, rule)]


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


def _utility(item: Item, adjusted: float, rule: Rule) -> tuple[str, str, str]:
    """Damage: below what one more retrained model would have."""
    assert item.value is not None
    here, there = f"{item.value:.1f} {item.unit}", f"{stats.mean(item.oracles):.1f} {item.unit} on average"
    if adjusted <= rule.alpha:
        return "fail", "UTILITY", f"{_words(item)} is {here}, below what retrained models have ({there})"
    return "pass", "", f"{_words(item)} is {here}, retrained models have {there}"


def _words(item: Item) -> str:
    return item.noun or item.name


def _noun(item: Item) -> str:
    return _words(item).removesuffix(",")


def checks(item: Item, rule: Rule) -> list[Control]:
    """Does the test of this item reject the original, and spare held-out oracles?"""
    p, spared = _positive(item), item.k - _rejected_oracles(item, rule)
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


def _positive(item: Item) -> float:
    """The p-value of the original: an audit that cannot reject it has no power."""
    if item.original is None:
        return 1.0
    return stats.prediction(item.original, item.oracles, floor=_grain(item)).p


def _rejected_oracles(item: Item, rule: Rule) -> int:
    held_out = ((o, item.oracles[:i] + item.oracles[i + 1 :]) for i, o in enumerate(item.oracles))
    return sum(stats.prediction(o, others, least=2).p <= rule.alpha for o, others in held_out)


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


def decide(item: Item, adjusted: float, rule: Rule) -> tuple[str, str, str]:
    """Verdict, code and reason of a residue item whose p-value, after Holm's correction, is ``adjusted``.

    FAIL needs a rejection against the oracles and against procedure-on-oracle models, with both controls in order.
    PASS needs neither rejection, an original that is rejected, and a residual fraction surely within rho_star of 0.
    """
    if _broken(item, rule):
        count = _rejected_oracles(item, rule)
        return "inconclusive", "CONTROL_BROKEN", f"the same test rejects {count} of {item.k} held-out oracles"
    if _positive(item) > rule.alpha:
        return "inconclusive", "NO_POWER", f"not even the original can be told from retrained models by {_noun(item)}"
    procedure = against_procedure(item, rule)
    unlike_oracles = adjusted <= rule.alpha
    unlike_procedure = unlike_oracles if procedure is None else procedure.p <= rule.alpha
    return {
        (True, True): _trace,
        (True, False): _confounded,
        (False, True): _masked,
        (False, False): _like_retrained,
    }[unlike_oracles, unlike_procedure](item, adjusted, rule)


def _trace(item: Item, adjusted: float, rule: Rule) -> tuple[str, str, str]:
    assert item.rho is not None
    if item.rho < 0:
        why = "is further from the original than retrained models are: what was forgotten stands out"
        return "fail", "OVER_FORGOTTEN", f"{_words(item)} {why} (residual fraction {item.rho:.2f}, p = {adjusted:.2g})"
    why = f"still shows {100 * item.rho:.0f} % of the trace that the original has"
    return "fail", "RESIDUE", f"{_words(item)} {why} (p = {adjusted:.2g})"


def _confounded(item: Item, adjusted: float, rule: Rule) -> tuple[str, str, str]:
    why = "differs from retrained models, but no more than the method makes models differ that never saw the data"
    return "inconclusive", "CONFOUNDED", f"{_words(item)} {why}"


def _masked(item: Item, adjusted: float, rule: Rule) -> tuple[str, str, str]:
    why = "is like that of retrained models, yet the method takes models that never saw the data elsewhere"
    return "inconclusive", "MASKED", f"{_words(item)} {why}"


def _like_retrained(item: Item, adjusted: float, rule: Rule) -> tuple[str, str, str]:
    assert item.rho_low is not None and item.rho_high is not None
    like = f"{_words(item)} is like that of retrained models"
    ends = f"between {item.rho_low:.2f} and {item.rho_high:.2f}"
    if max(-item.rho_low, item.rho_high) > rule.rho_star:
        return "inconclusive", "TOO_FEW", f"{like}, but the residual fraction may lie anywhere {ends}"
    return "pass", "", f"{like}; the residual fraction lies {ends}"


def overall(items: Sequence[Item]) -> tuple[str, str, Item | None]:
    """The verdict, its reason, and the item it hangs on: any failure fails, and only if all pass it is a pass."""
    mandatory = [i for i in items if i.mandatory]
    failed = sorted((i for i in mandatory if i.verdict == "fail"), key=lambda i: FAILURES.index(i.code))
    if failed:
        also = sorted({i.code for i in failed[1:]} - {failed[0].code})
        return "fail", failed[0].reason + (f" (also: {', '.join(also)})" if also else ""), failed[0]
    open_items = [i for i in mandatory if i.verdict != "pass"]
    if open_items:
        return "inconclusive", open_items[0].reason, open_items[0]
    if not mandatory:
        return "inconclusive", "no statistic that the verdict rests on could be measured", None
    return "pass", "; ".join(i.reason for i in mandatory if i.name.startswith("residue")), None


def oracles_needed(item: Item, rule: Rule, most: int = 100) -> int | None:
    """The smallest number of oracles with which the spread seen here would have sufficed; None if ``most`` do not."""
    if item.original is None or item.k < 3:
        return None
    span = abs(item.original - stats.mean(item.oracles))
    reach = span if item.code == "NO_POWER" else (rule.rho_star - abs(item.rho or 0.0)) * span
    sigma = stats.spread(item.oracles)
    return next((k for k in range(item.k + 1, most) if stats.prediction_factor(k, rule.alpha) * sigma < reach), None)
