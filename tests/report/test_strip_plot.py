from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from lacunar.report.evidence import Item
from lacunar.report.strip_plot import WIDTH, key, strip
from tests.report.audits import passed
from tests.report.pages import Page

ITEM = passed().items[0]


def centres(drawn: str, shape: str) -> list[float]:
    where = {"oracle": r'class="oracle" cx="([\d.]+)"', "procedure": r'class="procedure" d="M([\d.]+)'}
    where |= {"after": r'class="after" d="M([\d.]+)', "before": r'class="before" x="([\d.]+)"'}
    return [float(x) for x in re.findall(where[shape], drawn)]


def test_every_oracle_is_a_dot():
    drawn = strip(ITEM)
    assert len(centres(drawn, "oracle")) == len(ITEM.oracles)
    assert len(centres(drawn, "procedure")) == len(ITEM.procedure_on_oracle)
    assert len(centres(drawn, "after")) == len(centres(drawn, "before")) == 1
    assert Page(drawn).faults == []


def test_marks_lie_in_the_order_of_their_values():
    item = Item("x", value=5.0, original=9.0, oracles=(1.0, 2.0), k=2)
    drawn = strip(item)
    xs = [*centres(drawn, "oracle"), *centres(drawn, "after"), centres(drawn, "before")[0] + 4]
    assert xs == sorted(xs)
    gaps = [b - a for a, b in pairwise(xs)]
    assert gaps[1] == pytest.approx(3 * gaps[0], abs=0.3) and gaps[2] == pytest.approx(4 * gaps[0], abs=0.4)
    assert xs[0] >= 0 and xs[-1] <= WIDTH


def test_the_band_is_as_wide_as_the_gaps_interval_and_lies_on_the_oracles():
    item = Item("x", value=0.0, oracles=(4.0, 6.0), gap=-5.0, gap_low=-10.0, gap_high=0.0, k=2)
    left, width = map(float, re.search(r'class="band" x="([\d.]+)" y="3" width="([\d.]+)"', strip(item)).groups())
    a, b = centres(strip(item), "oracle")
    assert left + width / 2 == pytest.approx((a + b) / 2, abs=0.1)
    assert width == pytest.approx(5 * (b - a), abs=0.5)


def test_an_unbounded_gap_has_no_band():
    assert 'class="band"' not in strip(replace(ITEM, gap_low=-float("inf")))
    assert 'class="band"' in strip(ITEM)


def test_ticks_can_be_told_apart():
    ticks = re.findall(r"<text[^>]*>([^<]*)", strip(Item("x", value=99.4, original=100.9, oracles=(100.0, 100.6))))
    assert len(ticks) == len(set(ticks)) >= 3
    assert "100.5" in ticks


def test_words_say_all_values():
    (label,) = Page(strip(ITEM)).all("aria-label")
    assert label.startswith("residue_did. after unlearning: 0.09; before: 2.31; retrained models: 0.062, -0.041,")


@pytest.mark.parametrize("item", [Item("x"), Item("x", value=0.0), Item("x", value=float("nan"), original=1.0)])
def test_nothing_to_compare_gives_nothing(item):
    assert strip(item) == ""


def test_hostile_names_are_escaped():
    assert Page(strip(replace(ITEM, name='"><script>{0}'))).tags() <= {"svg", "path", "rect", "circle", "text"}


@pytest.mark.parametrize("shape", ["after", "before", "oracle", "procedure"])
def test_key_shows_the_mark(shape):
    assert f'class="{shape}"' in key(shape)
    assert Page(key(shape)).faults == []
