"""Numbers and verdicts as words: the same on the page, in the terminal and in every table."""

from __future__ import annotations

import math
import re

MISSING = "–"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+")

VERDICT_WORDS = {"pass": "pass", "fail": "fail", "inconclusive": "unknown", "information": "information"}
"""How the verdict on one item is called; the word always stands beside its colour."""

DIRECTION_WORDS = {
    "match": "should match retrained models",
    "higher": "higher is better",
    "lower": "lower is better",
    "information": "for information",
}

CODES = {
    "RESIDUE": "The deleted examples still leave a trace that no retrained model shows.",
    "OVER_FORGOTTEN": "The model treats the deleted examples as stranger than any retrained model does, which betrays "
    "them as well.",
    "UTILITY": "The model has become worse at its task than retraining would have made it.",
    "UTILITY_OPEN": "Whether the model has become worse at its task cannot be told with so few retrained models.",
    "RECIPE_MISMATCH": "The original was not made by the stated recipe, so models retrained by it are no yardstick.",
    "INVARIANT": "Something that must hold does not: a weight moved that may not, is not finite, or parts of the data "
    "overlap.",
    "NO_ORACLE": "No retrained model was there to compare with, so the number has no target.",
    "NO_POWER": "Even a model that forgot nothing would not have been noticed; not noticing this one means little.",
    "CONTROL_BROKEN": "The audit rejected retrained models more often than it may; its rejections cannot be trusted.",
    "CONFOUNDED": "The model differs from retrained ones, but no more than the procedure itself changes a model that "
    "never saw the data.",
    "MASKED": "The number matches retrained models, yet the same procedure on a model that never saw the data lands "
    "elsewhere; memory and side effect may cancel.",
    "TOO_FEW": "Too few examples or models for a useful interval.",
    "DUPLICATES": "Exact copies of deleted examples remain among the retained ones.",
    "FAILED": "The measurement stopped with an error, which is shown.",
}
"""What the code of an item means."""

COST = {
    "seconds": ("Time to unlearn", "s"),
    "cpu_seconds": ("Processor time to unlearn", "s"),
    "steps": ("Optimiser steps", ""),
    "examples_seen": ("Examples processed", ""),
    "peak_bytes": ("Peak memory", "bytes"),
    "retrain_seconds": ("Time of one retraining", "s"),
    "ratio_to_retrain": ("Time, of one retraining", "×"),
    "audit_seconds": ("Time of this audit", "s"),
}
"""Names and units of the entries of ``Audit.cost``."""

ENVIRONMENT = {
    "python": "Python",
    "torch": "PyTorch",
    "platform": "system",
    "cpu": "processor",
    "weights_before_sha256": "weights before (SHA-256)",
    "weights_after_sha256": "weights after (SHA-256)",
    "data_sha256": "data (SHA-256)",
    "data_sha256.retain": "retained examples (SHA-256)",
    "data_sha256.forget": "deleted examples (SHA-256)",
    "data_sha256.test": "test examples (SHA-256)",
    "data_sha256.held_out": "control examples (SHA-256)",
}
"""Names of those entries of an environment that do not speak for themselves."""


def places(half_width: float) -> int:
    """Decimals that show two significant digits of ``half_width``, in [0, 6].

    >>> places(0.0437), places(12.0)
    (3, 0)
    """
    if not (math.isfinite(half_width) and half_width > 0):
        return 3
    return min(max(1 - math.floor(math.log10(half_width)), 0), 6)


def number(value: float | None, decimals: int | None = None) -> str:
    """A number with ``decimals``, or with three significant digits; a dash for None and NaN.

    >>> number(0.123456), number(93.1, 2), number(60000), number(None)
    ('0.123', '93.10', '60,000', '–')
    """
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if decimals is not None:
        return _no_negative_zero(f"{value:,.{decimals}f}")
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return _no_negative_zero(f"{value:.3g}")


def quantity(value: float | None, unit: str = "", decimals: int | None = None) -> str:
    """A number with its unit; percent with one decimal, seconds and bytes in units that suit their size.

    >>> quantity(93.14, "%"), quantity(75, "s"), quantity(3_500_000, "bytes")
    ('93.1 %', '1 min 15 s', '3.5 MB')
    """
    if value is None or not math.isfinite(value) or not unit:
        return number(value, decimals)
    if unit == "s":
        return duration(value)
    if unit == "bytes":
        return size(value)
    if unit == "×":
        return ratio(value)
    return f"{number(value, 1 if unit == '%' and decimals is None else decimals)} {unit}"


def estimate(value: float | None, low: float | None, high: float | None, unit: str = "") -> str:
    """A value with its 95 % interval, to two significant digits of the half-width.

    >>> estimate(0.775, 0.4311, 0.9312)
    '0.78 [0.43, 0.93]'
    """
    if value is None or low is None or high is None or math.isnan(low) or math.isnan(high):
        return quantity(value, unit)
    digits = places((high - low) / 2)
    return " ".join(filter(None, (number(value, digits), unit, interval(low, high))))


def interval(low: float | None, high: float | None) -> str:
    """An interval in brackets; an end that is missing is unbounded.

    >>> interval(-0.0113, 0.0237), interval(0.5, None)
    ('[-0.011, 0.024]', '[0.500, ∞]')
    """
    ends = (-math.inf if low is None else low, math.inf if high is None else high)
    digits = places((ends[1] - ends[0]) / 2)
    return f"[{number(ends[0], digits)}, {number(ends[1], digits)}]"


def spread(mean: float | None, half_width: float | None, unit: str = "") -> str:
    """A mean with the half-width of its interval, to two significant digits of the half-width.

    >>> spread(93.1234, 0.4123, "%")
    '93.12 ± 0.41 %'
    """
    if mean is None or half_width is None or not math.isfinite(half_width):
        return quantity(mean, unit)
    digits = places(half_width)
    return f"{number(mean, digits)} ± {number(half_width, digits)} {unit}".rstrip()


def duration(seconds: float) -> str:
    """Seconds in the two units that suit them.

    >>> duration(0.0421), duration(12.34), duration(3725)
    ('0.042 s', '12 s', '1 h 2 min')
    """
    if seconds < 0.001:
        return "under 1 ms"
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    for name, length, next_name, next_length in (("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            rest = whole % length // next_length
            return f"{whole // length} {name}" + (f" {rest} {next_name}" if rest else "")
    return f"{whole} s"


def size(count: float) -> str:
    """Bytes in decimal units.

    >>> size(912), size(1_234_567_890)
    ('912 bytes', '1.23 GB')
    """
    for name, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {name}"
    return f"{count:.0f} bytes"


def ratio(value: float | None) -> str:
    """A share of another quantity as a factor.

    >>> ratio(0.1234), ratio(3e-6)
    ('0.123 ×', 'under 0.001 ×')
    """
    return "under 0.001 ×" if value is not None and 0 <= value < 0.001 else f"{number(value)} ×"


def sentence(text: str) -> str:
    """``text`` with a capital at its head and a full stop at its end; names with an underscore keep their case.

    >>> sentence("like the oracles"), sentence("residue_did: spared")
    ('Like the oracles.', 'residue_did: spared.')
    """
    first = text.split(maxsplit=1)[0] if text.strip() else ""
    head = text if "_" in first else text[:1].upper() + text[1:]
    return head if not head or head[-1] in ".!?" else f"{head}."


def mean(values: tuple[float, ...]) -> float | None:
    """The mean, or None of nothing."""
    return math.fsum(values) / len(values) if values else None


def typeset(text: str) -> str:
    """``text`` with true minus signs and powers of ten.

    >>> typeset("-0.5 [-1.0, 2e-07], fine-tune 3-4")
    '−0.5 [−1.0, 2 × 10⁻⁷], fine-tune 3-4'
    """
    text = re.sub(r"(\d)e([-+])0*(\d+)\b", lambda m: f"{m[1]} × 10{(m[2] + m[3]).translate(_RAISED)}", text)
    text = re.sub(r"(?<![\d.])1 × 10(?=[⁻⁰¹²³⁴⁵⁶⁷⁸⁹])", "10", text)
    return re.sub(r"(?<![\w)\-.])-(?=[\d∞])", "−", text)


def _no_negative_zero(text: str) -> str:
    return text.removeprefix("-") if not text.strip("-0.,") else text
