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

from lacunar.catalog import renamed
from lacunar.catalog.plugin import Plugin, word
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


def is_known(kind: str, name: str) -> bool:
    """Whether a plug-in has this name, or had it."""
    return name in names(kind) or name in renamed.PLUGINS.get(kind, {})


def family(kind: str, name: str) -> str:
    """The folder in which a plug-in's file lies; "" for one that lies in none, or comes from elsewhere."""
    parts = _files(kind).get(name, "").split(".")
    return parts[2] if len(parts) == 4 else ""


def _entries(kind: str) -> dict[str, Any]:
    return {e.name: e for e in entry_points(group=f"lacunar.{kind}")}


def plugin_class(kind: str, name: str) -> type[Plugin]:
    """The class of a plug-in; a former name is taken with a sentence.

    Raises:
        BadInput: no plug-in of this name; the nearest match and all names are listed.
    """
    name = renamed.plugin(kind, name)
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
    for key, value in renamed.settings(name, getattr(cls, "renamed", {}), settings).items():
        if key not in known:
            raise unknown(f"setting of {name}", key, known)
        values[key] = _coerce(name, key, hints[key], value)
    try:
        return cls(**values)
    except TypeError as error:
        raise BadInput(f"{name} cannot be made from these settings: {error}") from error


def from_spec(kind: str, spec: Mapping[str, Any]) -> Any:
    """The inverse of :meth:`Plugin.spec`.

    Raises:
        BadInput: no name, or as :func:`find`.
    """
    if not isinstance(spec.get("name"), str):
        raise BadInput(
            f'a plug-in is written {{"name": ..., "settings": {{...}}}}, got {json.dumps(spec, default=str)}'
        )
    return find(kind, spec["name"], **spec.get("settings", {}))


def parse(kind: str, text: str) -> Any:
    """A plug-in from one line: ``name`` or ``name:setting=value,...``; values are JSON or bare words.

    A plug-in inside a plug-in is written with parentheses, several in brackets:
    ``prune_first:method=fine_tune(epochs=3)``, ``NAME:methods=[fine_tune(epochs=3),grad_ascent]``.

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


def _held_kinds(hint: Any) -> tuple[str | None, str | None]:
    """The kinds of plug-ins that a setting of this type holds: one alone, and a tuple of any length."""
    one = many = None
    for option in get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,):
        if get_origin(option) is tuple and get_args(option)[1:] == (Ellipsis,):
            many = _kind_of(get_args(option)[0]) or many
        one = _kind_of(option) or one
    return one, many


def _kind_of(hint: Any) -> str | None:
    return hint.kind if isinstance(hint, type) and issubclass(hint, Plugin) else None


def _coerce(name: str, key: str, hint: Any, value: Any) -> Any:
    one, many = _held_kinds(hint)
    if many is not None and isinstance(parts := _listed(value), (list, tuple)):
        return tuple(_made(many, f"part {i} of {key} of {name}", part) for i, part in enumerate(parts, 1))
    if one is not None and isinstance(value, (str, Mapping, Plugin)):
        return _made(one, f"{key} of {name}", value)
    if many is not None and isinstance(value, (str, Mapping, Plugin)):
        raise BadInput(f"{key} of {name} holds several {many}, in brackets: {key}=[{word(value)},...]")
    if isinstance(value, Plugin):
        return value
    try:
        # A plug-in type is no type of pydantic's: it only checks that the value is one, or None where that is allowed.
        held = one is not None or many is not None
        adapter = TypeAdapter(hint, config={"arbitrary_types_allowed": True}) if held else TypeAdapter(hint)
        return adapter.validate_python(value)
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise BadInput(f"setting {key} of {name} cannot be {value!r}: {why}") from error


def _listed(value: Any) -> Any:
    """The parts of ``[a(b=1),c]``, which is no JSON."""
    in_brackets = isinstance(value, str) and value.startswith("[") and value.endswith("]")
    return [part.strip() for part in _split(value[1:-1])] if in_brackets else value


def _made(kind: str, where: str, value: Any) -> Plugin:
    """The plug-in that a setting is given as: itself, its line or its spec; errors begin with ``where``."""
    if isinstance(value, Plugin) and value.kind == kind:
        return value
    try:
        if isinstance(value, str):
            return parse(kind, value)  # type: ignore[no-any-return]
        if isinstance(value, Mapping):
            return from_spec(kind, value)  # type: ignore[no-any-return]
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error
    raise BadInput(f"{where} is one of {kind}, by its name, got {word(value)}")
