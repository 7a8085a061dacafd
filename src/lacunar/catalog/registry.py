"""Finding plug-ins: the file is the registry, third parties join by the entry point groups ``lacunar.<kind>``."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
import types
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from lacunar.catalog.plugin import Plugin
from lacunar.core.errors import BadInput, unknown

T = TypeVar("T")

KINDS = ("methods", "evaluators", "scenarios", "pruners", "models", "datasets", "importance", "exact_unlearners")


def names(kind: str) -> list[str]:
    """The names of all plug-ins of a kind, those of installed third parties included.

    Raises:
        BadInput: no such kind.
    """
    return sorted({*_files(kind), *_entries(kind)})


@cache
def _files(kind: str) -> dict[str, str]:
    if kind not in KINDS:
        raise unknown("kind of plug-in", kind, KINDS)
    try:
        package = importlib.import_module(f"lacunar.{kind}")
    except ModuleNotFoundError:
        return {}
    found: dict[str, str] = {}
    for m in pkgutil.iter_modules(package.__path__):
        below = f"lacunar.{kind}.{m.name}"
        folder = importlib.import_module(below).__path__ if m.ispkg else None
        inside = (
            [(m.name, below)]
            if folder is None
            else [(n.name, f"{below}.{n.name}") for n in pkgutil.iter_modules(folder)]
        )
        if twice := sorted(name for name, _ in inside if name in found and not name.startswith("_")):
            raise LookupError(f"two files of {kind} are called {twice[0]}: names are unique across families")
        found |= {name: module for name, module in inside if not name.startswith("_")}
    return found


def family(kind: str, name: str) -> str:
    """The folder in which a plug-in's file lies; "" for one that lies in none, or comes from elsewhere."""
    parts = _files(kind).get(name, "").split(".")
    return parts[2] if len(parts) == 4 else ""


def _entries(kind: str) -> dict[str, Any]:
    return {e.name: e for e in entry_points(group=f"lacunar.{kind}")}


def plugin_class(kind: str, name: str) -> type[Plugin]:
    """The class of a plug-in.

    Raises:
        BadInput: no plug-in of this name; the nearest match and all names are listed.
    """
    if name in _files(kind):
        module = importlib.import_module(_files(kind)[name])
        wanted = name.replace("_", "")
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__ and value.__name__.lower() == wanted:
                return value
        raise LookupError(f"{module.__name__} defines no class named like its file")
    if name in (entries := _entries(kind)):
        loaded = entries[name].load()
        if not (isinstance(loaded, type) and issubclass(loaded, Plugin)):
            raise BadInput(f"the entry point {name!r} of lacunar.{kind} is not a plug-in class")
        return loaded
    raise unknown(kind.removesuffix("s"), name, names(kind))


def find(kind: str, name: str, **settings: Any) -> Any:
    """A plug-in with these settings; the others keep their defaults.

    >>> find("methods", "fine_tune", epochs=3).epochs
    3

    Raises:
        BadInput: an unknown kind, name or setting, or a value that the setting cannot hold.
    """
    return filled(plugin_class(kind, name), name, settings)


def filled(cls: type[T], name: str, settings: Mapping[str, Any]) -> T:
    """The dataclass ``cls``, called ``name`` in messages, with these settings checked against its fields.

    Raises:
        BadInput: an unknown setting, or a value that the setting cannot hold.
    """
    hints = get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in known:
            raise unknown(f"setting of {name}", key, known)
        values[key] = _coerce(name, key, hints[key], value)
    try:
        return cls(**values)
    except TypeError as error:
        raise BadInput(f"{name} cannot be made from these settings: {error}") from error


def from_spec(kind: str, spec: Mapping[str, Any]) -> Any:
    """The inverse of :meth:`Plugin.spec`."""
    return find(kind, spec["name"], **spec.get("settings", {}))


def parse(kind: str, text: str) -> Any:
    """A plug-in from one line: ``name`` or ``name:setting=value,...``; values are JSON or bare words.

    A plug-in inside a plug-in is written with parentheses: ``prune_first:method=fine_tune(epochs=3)``.

    >>> parse("methods", "fine_tune:epochs=3,lr=0.02").lr
    0.02
    """
    name, settings = parse_line(text)
    return find(kind, name, **settings)


def parse_line(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the settings of one line, as written: what :func:`parse` makes a plug-in from."""
    text = text.strip()
    head, _, rest = text.partition(":")
    if "(" in head and text.endswith(")"):
        head, _, rest = text[:-1].partition("(")
    return head.strip(), parse_settings(rest)


def parse_settings(text: str) -> dict[str, Any]:
    """``a=1,b=[2,3]`` as a dict.

    Raises:
        BadInput: a part without ``=``, or a name that is given twice.
    """
    settings: dict[str, Any] = {}
    for part in _split(text):
        key, equals, value = part.partition("=")
        if not equals:
            raise BadInput(f"a setting is written name=value, got {part!r}")
        if key.strip() in settings:
            raise BadInput(f"the setting {key.strip()!r} is given twice")
        settings[key.strip()] = _literal(value.strip())
    return settings


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [p for p in [*parts, text[start:]] if p.strip()]


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _held_kind(hint: Any) -> str | None:
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for option in options:
        if isinstance(option, type) and issubclass(option, Plugin):
            return option.kind
    return None


def _coerce(name: str, key: str, hint: Any, value: Any) -> Any:
    kind = _held_kind(hint)
    if kind is not None and isinstance(value, str):
        return parse(kind, value)
    if kind is not None and isinstance(value, Mapping):
        return from_spec(kind, value)
    if isinstance(value, Plugin):
        return value
    try:
        # A plug-in type is no type of pydantic's: it only checks that the value is one, or None where that is allowed.
        adapter = TypeAdapter(hint) if kind is None else TypeAdapter(hint, config={"arbitrary_types_allowed": True})
        return adapter.validate_python(value)
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise BadInput(f"setting {key} of {name} cannot be {value!r}: {why}") from error
