"""What the catalog says about a plug-in: its page, made from the class itself."""

from __future__ import annotations

import dataclasses
import inspect
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from lacunar.catalog.plugin import Plugin
from lacunar.catalog.registry import names, plugin_class
from lacunar.core.errors import unknown
from lacunar.core.measurement import Measure

_ROLE = re.compile(r":[a-z]+:`~?([^`]*)`")
_TEX = re.compile(r"\\([A-Za-z]+|\|)")


def summaries(kind: str) -> dict[str, str]:
    """The first sentence about each plug-in of a kind, by name."""
    return {name: _text(plugin_class(kind, name)).partition("\n")[0] for name in names(kind)}


def measures() -> dict[str, tuple[str, Measure]]:
    """All measurements by name: the evaluator that makes it, and what it means."""
    found: dict[str, tuple[str, Measure]] = {}
    for name in names("evaluators"):
        cls = plugin_class("evaluators", name)
        found |= {measure: (name, meaning) for measure, meaning in _measures_of(cls).items()}
    return found


def page(kind: str, name: str) -> dict[str, Any]:
    """All that is known about a plug-in, as JSON values; an evaluator is found by its measurements as well.

    Raises:
        BadInput: no plug-in of this name; the nearest match and all names are listed.
    """
    if kind == "evaluators" and name not in names(kind):
        makers = {measure: maker for measure, (maker, _) in measures().items()}
        if name not in makers:
            raise unknown("metric", name, {*names(kind), *makers})
        name = makers[name]
    cls = plugin_class(kind, name)
    found: dict[str, Any] = {"name": name, "about": _text(cls), "settings": _settings(cls)}
    for what in ("paper", "cost"):
        if hasattr(cls, what):
            found[what] = getattr(cls, what)
    if hasattr(cls, "needs"):
        found["needs"] = sorted(cls.needs)
    if kind == "evaluators":
        found["measures"] = {measure: meaning._asdict() for measure, meaning in _measures_of(cls).items()}
    return found


def _measures_of(cls: type[Plugin]) -> Mapping[str, Measure]:
    found: Mapping[str, Measure] = getattr(cls, "MEASURES")  # noqa: B009 - what an evaluator is stands above the catalog
    return found


def _settings(cls: type[Plugin]) -> dict[str, Mapping[str, Any]]:
    return {
        f.name: {"default": None if f.default is dataclasses.MISSING else _plain(f.default), "type": str(f.type)}
        for f in dataclasses.fields(cls)  # type: ignore[arg-type]
    }


def _plain(value: Any) -> Any:
    return value.line() if isinstance(value, Plugin) else value


def _text(cls: type[Plugin]) -> str:
    return _ROLE.sub(lambda role: _TEX.sub(_letter, role[1]), inspect.cleandoc(cls.__doc__ or ""))


def _letter(command: re.Match[str]) -> str:
    try:
        return unicodedata.lookup(f"greek small letter {command[1]}")
    except KeyError:
        return command[1]
