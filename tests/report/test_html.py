from __future__ import annotations

import dataclasses
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup

from lacunar.auditing.audit import Audit
from lacunar.core.errors import BadInput
from lacunar.core.measurement import Measurement
from lacunar.report import html, text
from lacunar.report.evidence import Item
from lacunar.report.html import audit_page, experiment_page, flat, plain
from lacunar.report.table import Table
from tests.report.audits import ALL, curves, failed, inconclusive, passed
from tests.report.pages import Page

HOSTILE = "<script>alert(1)</script>\" onload='x' {{ 7*7 }} $\\frac{ </style> & \\g<1>"
WORDS = {"verdict", "direction"}  # choices, not text
PLOTLESS = replace(passed(), curves={})


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: audit_page(make()) for name, make in ALL.items()}


@pytest.mark.parametrize("name", ALL)
def test_the_page_is_well_formed(pages, name):
    page = Page(pages[name])
    assert page.faults == []
    ids = page.all("id")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ALL)
def test_every_link_leads_to_a_place_on_the_page(pages, name):
    page = Page(pages[name])
    links = page.all("href") + page.all("xlink:href") + re.findall(r"url\(([^)]*)\)", pages[name])
    assert len(links) > 10
    assert {link.removeprefix("#") for link in links} <= set(page.all("id"))


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_fetched_and_nothing_runs(pages, name):
    page = Page(pages[name])
    assert not page.tags() & {"script", "link", "iframe", "object", "embed", "img", "base", "form"}
    assert page.all("src") == []
    assert "@import" not in pages[name] and "@font-face" not in pages[name]
    assert not [key for _, attrs in page.elements for key in attrs if key.startswith("on")]
    assert "default-src 'none'" in " ".join(page.all("content"))


@pytest.mark.parametrize("name", ALL)
def test_the_page_can_be_read_without_seeing_it(pages, name):
    page = Page(pages[name])
    for tag, attrs in page.elements:
        if tag == "svg":
            assert attrs.get("aria-hidden") == "true" or attrs.get("aria-label") or "preserveaspectratio" in attrs
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(headings))
    assert [tag for tag, _ in page.elements].count("table") == [tag for tag, _ in page.elements].count("caption")
    assert dict(page.elements[:2])["html"] == {"lang": "en"}


def test_sections_come_in_the_order_that_a_reader_asks(pages):
    order = [i for i in Page(pages["fail"]).all("id") if i in html_sections()]
    assert order == html_sections()


def html_sections() -> list[str]:
    return ["verdict", "asked", "done", "evidence", "controls", "plots", "cost", "limits", "repeat", "definitions"]


@pytest.mark.parametrize("name", ALL)
def test_the_verdict_is_a_word_with_claim_and_reason(pages, name):
    audit, words = ALL[name](), Page(pages[name]).text
    for part in (audit.verdict.capitalize(), audit.claim, audit.reason, audit.settles, *audit.limits):
        assert part in words
    assert ("What would settle it" in words) == bool(audit.settles)


def test_no_page_claims_more_than_was_shown(pages):
    for page in pages.values():
        assert not re.search(r"\b(proved|certified|compliant|guaranteed)\b", Page(page).text)


def test_each_item_shows_its_numbers_and_its_verdict_as_a_word(pages):
    words = Page(pages["fail"]).text
    assert words.index("What the verdict rests on") < words.index("residue_did How much surer")
    assert words.index("For information; the verdict") < words.index("auc_forget_vs_control How well")
    assert "1.44 [1.23, 1.65]" in words
    assert "[0.51, 0.73]" in words
    assert "RESIDUE fail" in words
    assert "p = 0.0004" in words
    assert "n = 60 k = 5" in words
    assert "61 % of the original's memory is left." in words


def test_what_failed_is_shown_with_its_message(pages):
    words = Page(pages["fail"]).text
    assert words.count("not measured") == 2
    assert "The attack stopped: 12 scores are not finite." in words
    assert "The attack found 3 non-members and needs 20" in words
    assert "not as expected oracle" in words


def test_what_was_asked_without_samples_or_ids(pages):
    words = Page(pages["fail"]).text
    assert "Delete 60 of 1,200 training examples" in words
    assert passed().asked["ids_sha256"] in words
    assert "4 exact copies of deleted examples are still" in words
    assert "removes every example of class 7" in Page(pages["inconclusive"]).text


def test_settings_and_environment_are_all_there(pages):
    words = Page(pages["pass"]).text
    audit = passed()
    for value in (*audit.ran["method"]["settings"].values(), *audit.environment.values()):
        assert plain(value).replace("T", " ") in words.replace("T", " ")


def test_a_number_is_defined_by_its_evaluator_or_else_by_itself(pages):
    words = Page(pages["pass"]).text
    assert "mean over F of φ(x) − c(x)" in words
    assert "Source: A. Author, 2018." in words
    assert "Range [0, 100]. Direction: should match retrained models. Unit: %." in words
    assert "invariants Promises that were broken · value 0" in words
    assert "Promises that were broken. number of broken invariants Direction: lower is better." in words
    assert "ta_class[3] Accuracy on new examples of one class. 100 × share of the test examples of one class" in words


def test_failures_stand_before_what_passed():
    source = audit_page(replace(PLOTLESS, items=tuple(reversed(failed().items))))
    names = re.findall(r'<a href="#number-\d+">(\w+)</a>', source)
    assert names[:4] == ["residue_did", "ta", "invariants", "auc_forget_vs_control"]


def test_the_values_of_an_item_show_what_can_be_told_apart(pages):
    words = Page(pages["pass"]).text
    assert "94.0 % [91.4, 96.1] 94.7 % 94.2 % −0.2 [−1.5, 1.1]" in words


def test_codes_on_the_page_are_explained(pages):
    assert text.CODES["RESIDUE"] in Page(pages["fail"]).text
    assert text.CODES["MASKED"] not in Page(pages["fail"]).text
    strange = replace(PLOTLESS, items=(Item("x", "inconclusive", "HOUSE_CODE"),))
    assert "HOUSE_CODE" in Page(audit_page(strange)).text


def test_a_missing_plot_says_why(pages):
    words = Page(pages["inconclusive"]).text
    for what in ("no losses", "no ROC", "no accuracy per class"):
        assert f"Left out: the audit recorded {what}." in words


def test_an_audit_with_nothing_in_it_still_has_a_page():
    bare = Audit("inconclusive", 0, "c", "r", "", (), (), (), {}, {}, {}, {}, (), {})
    page = Page(audit_page(bare))
    assert page.faults == []
    assert "0 of 0" in page.text


def test_numbers_that_are_not_finite_break_nothing():
    odd = Item("x", "inconclusive", "NO_POWER", value=float("nan"), original=float("inf"), oracles=(1.0, float("nan")))
    odd = replace(odd, rho=0.2, rho_low=-float("inf"), rho_high=float("inf"), gap=0.1, gap_low=None, gap_high=None)
    page = Page(audit_page(replace(PLOTLESS, items=(odd,))))
    assert page.faults == []
    assert "[−∞, ∞]" in page.text


def hostile(value: Any, key: str = "") -> Any:
    """``value`` with every text in it replaced, keys of free dicts included."""
    if isinstance(value, str):
        return value if key in WORDS else HOSTILE
    if dataclasses.is_dataclass(value):
        fields = {f.name: hostile(getattr(value, f.name), f.name) for f in dataclasses.fields(value)}
        return replace(value, **fields)
    if isinstance(value, dict):
        free = key in ("class_mix", "settings", "recipe", "environment")
        return {k + HOSTILE if free else k: hostile(v, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(hostile(v, key) for v in value)
    return value


def test_hostile_text_stays_text():
    audit = hostile(failed())
    audit.curves["per_class"] = {**curves(0)["per_class"], "classes": [HOSTILE] * 10}
    source = audit_page(audit)
    page = Page(source)
    assert page.faults == []
    assert "script" not in page.tags()
    assert "<script" not in source
    assert not [key for _, attrs in page.elements for key in attrs if key.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") > 20
    assert "49" not in re.findall(r"\S+", page.text)


def test_hostile_evidence_codes_are_no_links():
    page = Page(audit_page(replace(PLOTLESS, items=(Item("x", "fail", HOSTILE),))))
    assert not [link for link in page.all("href") if "script" in link]


def test_the_page_is_small_and_repeatable(pages):
    assert max(len(page.encode()) for page in pages.values()) < 600_000
    assert audit_page(passed()) == pages["pass"]


def test_the_page_stays_small_for_large_audits():
    rng = np.random.default_rng(0)
    many = {"fpr": np.sort(rng.random(20_000)).tolist(), "tpr": np.sort(rng.random(20_000)).tolist()}
    values, shares = rng.normal(size=10_000).tolist(), rng.random(500).tolist()
    big = {
        "margins": {"forget": values, "oracle_forget": [values] * 5},
        "roc": {**many, "oracles": [many] * 20, "n_positive": 10_000, "n_negative": 10_000},
        "per_class": {"classes": list(range(500)), "after": shares, "before": shares},
        "history": [{"descent": d, "epoch": e, "loss": 1.0} for d in range(20) for e in range(20)],
    }
    items = tuple(replace(item, name=f"{item.name}_{i}") for i in range(10) for item in passed().items)
    asked = {**passed().asked, "class_mix": {i: 500 - i for i in range(500)}}
    source = audit_page(replace(passed(), curves=big, items=items, asked=asked))
    assert len(source.encode()) < 1_500_000
    assert "476 more classes" in source


def test_cost_appears_once():
    measurements = (Measurement("seconds", 1.84, direction="lower", unit="s"),)
    assert Page(audit_page(replace(PLOTLESS, measurements=measurements))).text.count("1.8 s") == 4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true"),
        (None, "none"),
        ([], "none"),
        ([1, [2, 3]], "1, 2, 3"),
        ({"a": 1, "b": None}, "a=1, b=none"),
        ({"name": "prune_first", "settings": {"method": {"name": "fine_tune", "settings": {}}}}, None),
        (1e-4, "0.0001"),
    ],
)
def test_plain(value, expected):
    assert plain(value) == (expected or "prune_first(method=fine_tune())")


def test_flat_keeps_lists_that_are_no_command():
    assert flat({"a": {"b": [1, 2]}, "command": "x y"}) == {"b": [1, 2], "command": "x y"}


TABLE = Table("Accuracy by method", ("method", "test"), (("fine_tune", "-93.1 ± 0.4 %"), (HOSTILE, "–")), "n = 3 seeds")


def test_experiment_page():
    drawing = html.figures.estimates("test", [html.figures.Estimate("a", 1.0, 0.5, 1.5)], "accuracy in %")
    environment = {"versions": {"torch": "2.6"}, "command": ["lacunar", "run", "x.toml"], "commit": "a" * 40}
    source = experiment_page("Random " + HOSTILE, "First.\n\nSecond.", [TABLE], [("Figure 1", drawing)], environment)
    page = Page(source)
    assert page.faults == []
    assert "script" not in page.tags()
    for part in ("−93.1 ± 0.4 %", "n = 3 seeds", "Figure 1", "First.", "lacunar run x.toml", "a" * 40):
        assert part in page.text
    assert [attrs["class"] for tag, attrs in page.elements if tag == "td"] == ["n", "n"]


def test_a_drawing_that_is_plain_text_is_refused():
    with pytest.raises(BadInput, match="the figure 'f' is plain text"):
        experiment_page("t", "", [], [("f", "<svg></svg>")], {})
    assert "<svg>1</svg>" in experiment_page("t", "", [], [("f", Markup("<svg>1</svg>"))], {})


def test_inconclusive_at_tier_0_says_that_nothing_was_compared(pages):
    words = Page(pages["inconclusive"]).text
    assert "Tier 0: no retrained model to compare with" in words
    assert "without retrained models the audit cannot check itself" in words
    assert inconclusive().settles in words
