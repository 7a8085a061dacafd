"""What the catalog says about a plug-in: its page, made from the class itself."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any

from lacunar.catalog import renamed
from lacunar.catalog.formula import readable
from lacunar.catalog.plugin import Plugin
from lacunar.catalog.registry import family, names, plugin_class
from lacunar.core.errors import unknown
from lacunar.core.measurement import Measure

_ROLE = re.compile(r":([a-z]+):`([^`]*)`")
_BLOCK = re.compile(r"^\.\. math:: *(.*(?:\n +\S.*)*)", re.MULTILINE)
_ATTRIBUTES = re.compile(r"\n\nAttributes:\n((?:    .*\n?)+)")
_ATTRIBUTE = re.compile(r"^    (\w+(?:, \w+)*): (.*(?:\n {8}.*)*)", re.MULTILINE)


def summaries(kind: str) -> dict[str, str]:
    """The first sentence about each plug-in of a kind, by name."""
    return {name: text(plugin_class(kind, name)).partition("\n")[0] for name in names(kind)}


def families(kind: str) -> dict[str, dict[str, str]]:
    """:func:`summaries` by family: the folders of the kind in alphabetical order, then "" for what lies in none."""
    found: dict[str, dict[str, str]] = {}
    for name, said in summaries(kind).items():
        found.setdefault(family(kind, name), {})[name] = said
    return dict(sorted(found.items(), key=lambda item: (not item[0], item[0])))


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
    name = renamed.plugin(kind, name)
    if kind == "evaluators" and name not in names(kind):
        makers = {measure: maker for measure, (maker, _) in measures().items()}
        if name not in makers:
            raise unknown("metric", name, {*names(kind), *makers})
        name = makers[name]
    cls = plugin_class(kind, name)
    found: dict[str, Any] = {"name": name, "about": text(cls)}
    found["settings"] = _settings(cls, explained(found["about"]))
    if family(kind, name):
        found["family"] = family(kind, name)
    for what in ("paper", "cost"):
        if hasattr(cls, what):
            found[what] = getattr(cls, what)
    if hasattr(cls, "needs"):
        found["needs"] = sorted(cls.needs)
    if kind == "evaluators":
        found["measures"] = {measure: dataclasses.asdict(meaning) for measure, meaning in _measures_of(cls).items()}
    return found


def _measures_of(cls: type[Plugin]) -> Mapping[str, Measure]:
    found: Mapping[str, Measure] = getattr(cls, "MEASURES")  # noqa: B009 - what an evaluator is stands above the catalog
    return found


def without_settings(about: str) -> str:
    """What a page says of a plug-in, less the list of its settings, which each of them carries too."""
    return _ATTRIBUTES.sub("\n", about).strip()


def explained(about: str) -> dict[str, str]:
    """What a page says of each setting: the entries of its list, by name."""
    listed, found = _ATTRIBUTES.search(about), dict[str, str]()
    for several, said in _ATTRIBUTE.findall(listed[1] if listed else ""):
        found |= dict.fromkeys(several.split(", "), " ".join(said.split()))
    return found


def text(cls: type) -> str:
    """A docstring with its formulas as text, its references by name and its literals in single backquotes."""
    said = _BLOCK.sub(lambda block: "    " + " ".join(readable(block[1]).split()), inspect.cleandoc(cls.__doc__ or ""))
    return _ROLE.sub(_referred, said).replace("``", "`")


def _settings(cls: type[Plugin], told: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    return {
        f.name: {
            "default": _default(f),
            "type": str(f.type),
            "about": told.get(f.name, told.get("others", "")),
        }
        for f in dataclasses.fields(cls)  # type: ignore[arg-type]
        if f.init
    }


def _default(field: dataclasses.Field[Any]) -> Any:
    made = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    if made is dataclasses.MISSING:
        return None
    if isinstance(made, Plugin):
        return made.line()
    return tuple(_held(part) for part in made) if isinstance(made, tuple) else made


def _held(part: Any) -> Any:
    return part.line() if isinstance(part, Plugin) else part


def _referred(role: re.Match[str]) -> str:
    if role[1] == "math":
        return readable(role[2])
    return role[2].rsplit(".", 1)[-1] if role[2].startswith("~") else role[2]
