"""What every plug-in shares: a kind, a name taken from its file, and settings that are its dataclass fields."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
from abc import ABC
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from lacunar.catalog.needs import check_names, needs_first
from lacunar.core.errors import BadInput, unknown


class Plugin(ABC):
    """A frozen dataclass with one verb; its settings are its fields, so repr, JSON, equality and keys come free.

    Class attributes:
        kind: the shelf it belongs to.
        verb: the method whose arguments must offer what ``needs`` names, see :mod:`lacunar.catalog.needs`; "" for kinds
            that need nothing. It is checked in every class that defines the verb.
        renamed: the name of today for each former name of a setting.

    Raises:
        BadInput: a word that a setting of a few words does not know, or a number that is NaN or infinite; checked
            before a class's own ``__post_init__``. As the class is made: a need that the table does not know.
    """

    kind: ClassVar[str]
    verb: ClassVar[str] = ""
    renamed: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "needs" in vars(cls):
            check_names(cls.kind, cls.name(), vars(cls)["needs"])
        if cls.verb in vars(cls):
            declared = next(vars(base)[cls.verb] for base in reversed(cls.__mro__) if cls.verb in vars(base))
            if declared is not vars(cls)[cls.verb]:
                setattr(cls, cls.verb, needs_first(vars(cls)[cls.verb], declared))
        # Whether a class's own checks call these is up to it, so these are put before them.
        if not hasattr(cls.__post_init__, "settings_first"):
            cls.__post_init__ = _settings_first(cls.__post_init__)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def name(cls) -> str:
        """The name in the catalog: the file's name, or for third parties the class name in snake case."""
        if cls.__module__.startswith("lacunar."):
            return cls.__module__.rsplit(".", 1)[-1]
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()

    def settings(self) -> dict[str, Any]:
        """All fields as JSON values, defaults included; a plug-in held as a field becomes its own :meth:`spec`."""
        return {f.name: _plain(getattr(self, f.name)) for f in _settings_of(self)}

    def held(self) -> list[Plugin]:
        """The plug-ins among the settings, alone or several in one."""
        values = [getattr(self, f.name) for f in _settings_of(self)]
        return [part for v in values for part in (v if isinstance(v, tuple) else (v,)) if isinstance(part, Plugin)]

    def spec(self) -> dict[str, Any]:
        """Name and settings: what :func:`lacunar.catalog.registry.from_spec` turns back into an equal value."""
        return {"name": self.name(), "settings": self.settings()}

    def line(self) -> str:
        """Name and the settings that are not at their defaults: what the registry's ``parse`` turns back."""
        changed = _changed(self)
        return f"{self.name()}:{changed}" if changed else self.name()


def _settings_first(own: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(own)
    def checked(self: Plugin) -> None:
        _check(self)
        own(self)

    checked.settings_first = True  # type: ignore[attr-defined]
    return checked


def _check(plugin: Plugin) -> None:
    words = _words(type(plugin))
    for f in _settings_of(plugin):
        value = getattr(plugin, f.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInput(f"{f.name} of {plugin.name()} must be a finite number, got {value}")
        if f.name in words and not _allows(*words[f.name], value):
            raise unknown(f"{f.name} of {plugin.name()}", str(value), map(str, words[f.name][0]))


@cache
def _words(cls: type[Plugin]) -> dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Per setting with a ``Literal`` type: its words, and the other types that it may have."""
    found = {}
    for name, hint in get_type_hints(cls).items():
        options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        others = tuple(o for o in options if get_origin(o) is not Literal)
        if len(others) < len(options):
            found[name] = tuple(w for o in options if o not in others for w in get_args(o)), others
    return found


def _allows(words: tuple[Any, ...], others: tuple[Any, ...], value: Any) -> bool:
    if any(isinstance(value, type(word)) and value == word for word in words):
        return True
    return str in others if isinstance(value, str) else bool(others)


def _settings_of(plugin: Plugin) -> list[dataclasses.Field[Any]]:
    # What a plug-in computed and keeps is no setting of it.
    return [f for f in dataclasses.fields(plugin) if f.init]  # type: ignore[arg-type]


def _changed(plugin: Plugin) -> str:
    values = {f.name: (getattr(plugin, f.name), f.default) for f in _settings_of(plugin)}
    return ",".join(f"{name}={word(value)}" for name, (value, default) in values.items() if value != default)


def word(value: Any) -> str:
    """A setting as a line has it: a plug-in as ``name(setting=value)``, several in brackets; else JSON or a word."""
    if isinstance(value, Plugin):
        return f"{value.name()}({_changed(value)})"
    if isinstance(value, tuple) and any(isinstance(part, Plugin) for part in value):
        return f"[{','.join(map(word, value))}]"
    bare = isinstance(value, str) and not re.fullmatch(r"[\d.+-].*|true|false|null|NaN|Infinity", value)
    return str(value) if bare else json.dumps(_plain(value), separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Plugin):
        return value.spec()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, frozenset, set)):
        return [_plain(v) for v in (sorted(value) if isinstance(value, (frozenset, set)) else value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a setting must be plain data or a plug-in, got {type(value).__name__}")
