"""One number of the judged model beside those of retrained ones: gap, p-value, residual fraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lacunar.auditing.comparison import Row
from lacunar.auditing.mandatory import TAILS
from lacunar.auditing.utility import WORSE
from lacunar.core import stats
from lacunar.core.errors import BadInput
from lacunar.report.evidence import Item


@dataclass(frozen=True)
class Rule:
    """What the verdict depends on besides the numbers.

    Attributes:
        alpha: family-wise error of the mandatory items, and of the intervals.
        rho_star: the largest residual fraction that a pass leaves possible; 0.5 may only be tightened.
        denominator: how the interval of the residual fraction is made, see :func:`lacunar.core.stats.rho_interval`.
        worse: by how many points utility may surely not lie below that of retrained models, by name; may only be
            tightened.
    """

    alpha: float = 0.05
    rho_star: float = 0.5
    denominator: str = "fieller"
    worse: Mapping[str, float] = field(default_factory=lambda: dict(WORSE))

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise BadInput(f"alpha is an error rate in (0, 0.5), got {self.alpha}")
        if not 0 < self.rho_star <= 0.5:
            raise BadInput(f"rho_star may only be tightened, to a value in (0, 0.5], got {self.rho_star}")
        for name, points in self.worse.items():
            if name not in WORSE or not 0 < points <= WORSE[name]:
                known = ", ".join(f"{n} in (0, {most:g}]" for n, most in WORSE.items())
                raise BadInput(f"the tolerated loss of utility may only be tightened ({known}), got {name}={points}")


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
    gap, low, high, _ = stats.prediction(ours.value, oracles, rule.alpha, floor=_grain(item))
    item = replace(item, gap=gap, gap_low=low, gap_high=high, p=p_value(item, ours.value), detectable=high - gap)
    if item.original is None or p_of_original(item) > rule.alpha:
        return item
    between = stats.rho_interval(ours.value, item.original, oracles, rule.alpha, denominator=rule.denominator)
    assert between is not None, "an original that is rejected bounds the residual fraction"
    return replace(item, rho=between.value, rho_low=between.low, rho_high=between.high)


def _known(values: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(v for v in values if v is not None)


def _grain(item: Item) -> float:
    # Rates of n examples lie on a grid; oracles that agree to the last example have a spread below one step, not 0.
    return 100 / item.n if item.unit == "%" and item.n else 0.0


def p_value(item: Item, value: float, oracles: Sequence[float] | None = None, least: int = 3) -> float:
    """The p-value of "this is one more oracle", to the side on which the statistic shows a difference."""
    found = stats.prediction(value, oracles or item.oracles, floor=_grain(item), least=least)
    tail = TAILS.get(item.name, 0)
    if tail == 0:
        return found.p
    return found.p / 2 if found.gap * tail > 0 else 1 - found.p / 2


def p_of_original(item: Item) -> float:
    """The p-value of the original: an audit that cannot reject it has no power."""
    if item.original is None:
        return 1.0
    return p_value(item, item.original)


def oracles_needed(item: Item, rule: Rule, most: int = 100) -> int | None:
    """The smallest number of oracles with which the spread seen here would have sufficed; None if ``most`` do not."""
    if item.original is None or item.k < 3:
        return None
    span = abs(item.original - stats.mean(item.oracles))
    reach = span if item.code == "NO_POWER" else (rule.rho_star - abs(item.rho or 0.0)) * span
    sigma = stats.spread(item.oracles)
    return next((k for k in range(item.k + 1, most) if stats.prediction_factor(k, rule.alpha) * sigma < reach), None)
