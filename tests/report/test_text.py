from __future__ import annotations

import math

import pytest

from lacunar.report import text

INF = math.inf


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [
        (0.123456, None, "0.123"),
        (93.1, 2, "93.10"),
        (100.0, None, "100"),
        (60000, None, "60,000"),
        (12345.6, None, "12,346"),
        (-0.0001, 2, "0.00"),
        (0, None, "0"),
        (1.2e-7, None, "1.2e-07"),
        (None, None, "–"),
        (math.nan, 2, "–"),
        (INF, None, "∞"),
        (-INF, 3, "-∞"),
    ],
)
def test_number(value, decimals, expected):
    assert text.number(value, decimals) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (93.14, "%", "93.1 %"),
        (99.97, "%", "100.0 %"),
        (0.1234, "×", "0.123 ×"),
        (1e-9, "×", "under 0.001 ×"),
        (0.5, "", "0.5"),
        (75.0, "s", "1 min 15 s"),
        (3_500_000, "bytes", "3.5 MB"),
        (None, "%", "–"),
        (INF, "s", "∞"),
    ],
)
def test_quantity(value, unit, expected):
    assert text.quantity(value, unit) == expected


@pytest.mark.parametrize(
    ("value", "low", "high", "unit", "expected"),
    [
        (0.775, 0.4311, 0.9312, "", "0.78 [0.43, 0.93]"),
        (93.12, 92.0, 94.2, "%", "93.1 % [92.0, 94.2]"),
        (3.0, None, None, "", "3"),
        (None, 0.0, 1.0, "", "–"),
        (0.5, 0.5, 0.5, "", "0.500 [0.500, 0.500]"),
        (0.5, -INF, INF, "", "0.500 [-∞, ∞]"),
        (0.5, math.nan, 1.0, "", "0.5"),
        (12.0, 11.0, 13.0, "s", "12.0 s [11.0, 13.0]"),
    ],
)
def test_estimate(value, low, high, unit, expected):
    assert text.estimate(value, low, high, unit) == expected


@pytest.mark.parametrize(
    ("mean", "half", "unit", "expected"),
    [
        (93.1234, 0.4123, "%", "93.12 ± 0.41 %"),
        (12.0, 0.0, "", "12.000 ± 0.000"),
        (93.1, None, "%", "93.1 %"),
        (0.5, INF, "", "0.5"),
        (None, 0.1, "", "–"),
    ],
)
def test_spread(mean, half, unit, expected):
    assert text.spread(mean, half, unit) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (4.2e-5, "under 1 ms"),
        (0.0421, "0.042 s"),
        (9.87, "9.9 s"),
        (59.6, "1 min"),
        (119.7, "2 min"),
        (3725, "1 h 2 min"),
        (90_000, "25 h"),
    ],
)
def test_duration_carries_over(seconds, expected):
    assert text.duration(seconds) == expected


def test_size():
    assert [text.size(n) for n in (0, 912, 1000, 1_234_567_890)] == ["0 bytes", "912 bytes", "1 kB", "1.23 GB"]


def test_every_verdict_has_a_word():
    from lacunar.report.evidence import VERDICTS

    assert set(text.VERDICT_WORDS) == set(VERDICTS)


def test_mean_of_nothing_is_missing():
    assert text.mean(()) is None
    assert text.mean((1.0, 2.0)) == 1.5


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("like the oracles", "Like the oracles."),
        ("residue_did: spared", "residue_did: spared."),
        ("Is it gone?", "Is it gone?"),
        ("0 copies", "0 copies."),
        ("", ""),
        (" ", " ."),
    ],
)
def test_sentence(given, expected):
    assert text.sentence(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("-0.5 [-1.0, 2e-07]", "−0.5 [−1.0, 2 × 10⁻⁷]"),
        ("1e-06", "10⁻⁶"),
        ("2.1e+10", "2.1 × 10¹⁰"),
        ("(-inf, 1)", "(-inf, 1)"),
        ("fine-tune 3-4, arXiv:1-2, a-1", "fine-tune 3-4, arXiv:1-2, a-1"),
    ],
)
def test_typeset(given, expected):
    assert text.typeset(given) == expected
