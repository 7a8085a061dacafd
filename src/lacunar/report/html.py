"""One self-contained page: no script, no font, no request leaves it; every string is escaped."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lacunar.catalog.documentation import measures
from lacunar.catalog.registry import plugin_class
from lacunar.core.errors import BadInput
from lacunar.core.measurement import Measure, Measurement
from lacunar.report import figures, text
from lacunar.report.evidence import Evidence, Item
from lacunar.report.strip_plot import key, strip
from lacunar.report.table import Table

MOST_CLASSES = 24


@dataclass(frozen=True)
class Definition:
    """What the appendix says about one number."""

    anchor: str
    name: str
    measure: Measure
    paper: str


def audit_page(audit: Evidence) -> str:
    """The page of an audit: verdict, what was asked and done, evidence, controls, plots, cost, limits, repetition."""
    definitions = _definitions([*audit.items, *audit.measurements])
    return _render(
        "audit.html.j2",
        audit=audit,
        mandatory=sorted((item for item in audit.items if item.mandatory), key=_urgency),
        information=[item for item in audit.items if not item.mandatory],
        definitions=list(definitions.values()),
        anchors={name: d.anchor for name, d in definitions.items()},
        plain_words={name: d.measure.plain for name, d in definitions.items()},
        codes={c: text.CODES[c] for c in dict.fromkeys(item.code for item in audit.items) if c in text.CODES},
        class_mix=_class_mix(audit.asked.get("class_mix") or {}),
        measurements=[m for m in audit.measurements if m.name not in audit.cost],
        plots=figures.plots(audit.curves),
    )


def experiment_page(
    title: str,
    intro: str,
    tables: Sequence[Table],
    figures: Sequence[tuple[str, str]],
    environment: Mapping[str, Any],
) -> str:
    """The page of an experiment: see :func:`lacunar.report.save_experiment`."""
    for caption, drawing in figures:
        if not isinstance(drawing, Markup):
            raise BadInput(f"the figure {caption!r} is plain text; draw it with lacunar.report.svg.render")
    return _render(
        "experiment.html.j2", title=title, intro=intro, tables=tables, figures=figures, environment=environment
    )


def _render(template: str, **values: Any) -> str:
    return _templates().get_template(template).render(**values)


@cache
def _templates() -> Environment:
    pages = Environment(
        loader=PackageLoader("lacunar.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "flat": flat,
        "sentence": text.sentence,
        "number": text.number,
        "plain": plain,
        "quantity": text.quantity,
        "strip": strip,
        "typeset": lambda value: text.typeset(str(value)),
    }
    pages.globals |= {
        "digits": digits,
        "direction_words": text.DIRECTION_WORDS,
        "estimate": text.estimate,
        "interval": text.interval,
        "is_digest": lambda value: isinstance(value, str) and re.fullmatch("[0-9a-f]{32,}", value) is not None,
        "key": key,
        "mean": text.mean,
        "verdict_word": verdict_word,
        "words": text,
    }
    return pages


def _urgency(item: Item) -> tuple[int, bool]:
    return ("fail", "inconclusive", "pass", "information").index(item.verdict), not item.oracles


def digits(item: Item) -> int | None:
    """Decimals for all values of an item: two significant digits of what can be told apart."""
    return text.places(item.detectable) if item.detectable else None


def verdict_word(item: Item) -> str:
    """The word for an item's verdict; a measurement that failed is called so whatever its verdict."""
    return "not measured" if item.code == "FAILED" else text.VERDICT_WORDS[item.verdict]


def plain(value: Any) -> str:
    """A setting as a reader would write it: a plug-in as ``name(setting=value)``, all else as JSON or bare text.

    >>> plain({"name": "fine_tune", "settings": {"epochs": 3, "lr": 0.1}}), plain(None), plain([1, 2])
    ('fine_tune(epochs=3, lr=0.1)', 'none', '1, 2')
    """
    if isinstance(value, str):
        return value
    if value is None or value in ([], (), {}):
        return "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value))
    if isinstance(value, Mapping):
        inside = value.get("settings", {}) if set(value) == {"name", "settings"} else value
        listed = ", ".join(f"{k}={plain(v)}" for k, v in inside.items())
        return listed if inside is value else f"{value['name']}({listed})"
    return json.dumps(value)


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings within a mapping laid out side by side; a command that is a list of words becomes one line.

    >>> flat({"versions": {"torch": "2.6"}, "data_sha256": {"test": "ab"}, "command": ["lacunar", "run", "a b"]})
    {'torch': '2.6', 'data_sha256.test': 'ab', 'command': "lacunar run 'a b'"}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            prefix = f"{name}." if name.endswith("sha256") else ""
            found |= {prefix + inner: part for inner, part in flat(value).items()}
        else:
            found[name] = shlex.join(map(str, value)) if name == "command" and isinstance(value, list) else value
    return found


def _definitions(numbers: Iterable[Item | Measurement]) -> dict[str, Definition]:
    """By name, each number on the page once: by what its evaluator says, else by what it says of itself."""
    known = measures()
    found: dict[str, Definition] = {}
    for one in numbers:
        formula, paper, plain = (one.formula, one.paper, one.plain) if isinstance(one, Item) else ("", "", "")
        unlisted = Measure(formula, "", one.direction, one.unit, plain=plain)
        maker, measure = known.get(one.name.partition("[")[0], ("", unlisted))
        paper = paper or (getattr(plugin_class("evaluators", maker), "paper", "") if maker else "")
        found.setdefault(one.name, Definition(f"number-{len(found) + 1}", one.name, measure, paper))
    return found


def _class_mix(counts: Mapping[Any, int]) -> list[tuple[str, int, float]]:
    """Label, count and share of the largest, for the largest classes; the others together in a last row."""
    ordered = list(counts.items())
    if len(ordered) > MOST_CLASSES:
        ordered.sort(key=lambda pair: -pair[1])
        rest = ordered[MOST_CLASSES:]
        ordered = [*ordered[:MOST_CLASSES], (f"{len(rest)} more classes", sum(n for _, n in rest))]
    largest = max((n for _, n in ordered), default=1) or 1
    return [(str(name), n, n / largest) for name, n in ordered]
