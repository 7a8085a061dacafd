"""One comparison on one line: the unlearned model, the original and every oracle as marks on a common axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from lacunar.report.evidence import Item
from lacunar.report.text import mean, number, quantity, typeset

WIDTH, HEIGHT, MARGIN = 240, 62, 10
UPPER, MIDDLE, LOWER, AXIS = 10, 25, 38, 47
"""The lanes: before and after; oracles; the same procedure on oracles; the axis."""

SHAPES = {
    "after": '<path class="after" d="M{x} {top}l5 5l-5 5l-5-5z"/>',
    "before": '<rect class="before" x="{left}" y="{inner}" width="8" height="8"/>',
    "oracle": '<circle class="oracle" cx="{x}" cy="{y}" r="3.4"/>',
    "procedure": '<path class="procedure" d="M{x} {inner}l4 7h-8z"/>',
}


def mark(shape: str, x: float, y: float) -> str:
    """One mark of :data:`SHAPES` centred at (x, y)."""
    places = {"x": x, "y": y, "top": y - 5, "inner": y - 4, "left": x - 4}
    return SHAPES[shape].format(**{name: f"{value:.1f}" for name, value in places.items()})


def key(shape: str) -> Markup:
    """A mark alone, for the key of the table."""
    body = mark(shape, 7, 7)
    return Markup(f'<svg class="key" viewBox="0 0 14 14" aria-hidden="true">{body}</svg>')  # noqa: S704 - numbers only


def strip(item: Item) -> Markup:
    """The strip of an item, or the empty text where there are no two numbers to compare."""
    points = [*_finite((item.value, item.original, *item.oracles, *item.procedure_on_oracle))]
    band = _band(item)
    points += [*_finite((item.low, item.high)), *band]
    if not points or min(points) == max(points):
        return Markup()
    ticks = [float(tick) for tick in MaxNLocator(3).tick_values(min(points), max(points))]
    low, high = min(*points, *ticks), max(*points, *ticks)

    def at(value: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * (value - low) / (high - low)

    body = [*_axis(ticks, at), *_oracles(item, band, at), *_models(item, at)]
    return Markup(  # noqa: S704 - the marks are numbers and the words are escaped by the format below
        f'<svg class="strip" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{{}}">{"".join(body)}</svg>'
    ).format(_words(item))


def _band(item: Item) -> tuple[float, ...]:
    """Where one more oracle would lie with 95 % probability: the oracles' mean and half the width of the gap."""
    middle = mean(item.oracles)
    ends = [*_finite((item.gap_low, item.gap_high))]
    if middle is None or len(ends) < 2:
        return ()
    half = (ends[1] - ends[0]) / 2
    return (middle - half, middle + half)


def _axis(ticks: list[float], at: Callable[[float], float]) -> Iterable[str]:
    step = ticks[1] - ticks[0]
    decimals = next((d for d in range(5) if abs(step * 10**d - round(step * 10**d)) < 1e-6), None)
    yield f'<path class="axis" d="M{at(ticks[0]):.1f} {AXIS}H{at(ticks[-1]):.1f}"/>'
    for tick in ticks:
        x, words = f"{at(tick):.1f}", typeset(number(tick, decimals))
        yield f'<path class="axis" d="M{x} {AXIS}v3"/><text x="{x}" y="{AXIS + 13}">{words}</text>'


def _oracles(item: Item, band: tuple[float, ...], at: Callable[[float], float]) -> Iterable[str]:
    if band:
        left, right = at(band[0]), at(band[1])
        yield f'<rect class="band" x="{left:.1f}" y="3" width="{right - left:.1f}" height="{AXIS - 3}"/>'
    middle = mean(tuple(_finite(item.oracles)))
    if middle is not None:
        yield f'<path class="mean" d="M{at(middle):.1f} 3V{AXIS}"/>'
    for value in _finite(item.oracles):
        yield mark("oracle", at(value), MIDDLE)
    for value in _finite(item.procedure_on_oracle):
        yield mark("procedure", at(value), LOWER)


def _models(item: Item, at: Callable[[float], float]) -> Iterable[str]:
    after, before = [*_finite((item.value,))], [*_finite((item.original,))]
    if after and before:
        yield f'<path class="move" d="M{at(before[0]):.1f} {UPPER}H{at(after[0]):.1f}"/>'
    ends = [*_finite((item.low, item.high))]
    if after and len(ends) == 2:
        yield f'<path class="whisker" d="M{at(ends[0]):.1f} {UPPER}H{at(ends[1]):.1f}"/>'
    yield from (mark("before", at(value), UPPER) for value in before)
    yield from (mark("after", at(value), UPPER) for value in after)


def _words(item: Item) -> str:
    parts = {
        "after unlearning": (item.value,),
        "before": (item.original,),
        "retrained models": item.oracles,
        "the same procedure on retrained models": item.procedure_on_oracle,
    }
    listed = {name: [quantity(v, item.unit) for v in _finite(values)] for name, values in parts.items()}
    return f"{item.name}. " + "; ".join(f"{name}: {', '.join(values)}" for name, values in listed.items() if values)


def _finite(values: Iterable[float | None]) -> Iterable[float]:
    return (v for v in values if v is not None and math.isfinite(v))
