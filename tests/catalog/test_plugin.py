from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, replace
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from lacunar.catalog import registry
from lacunar.catalog.plugin import Plugin
from lacunar.core.errors import BadInput


@dataclass(frozen=True)
class Inner(Plugin):
    kind = "methods"
    rate: float = 0.1
    word: str = "plain"


@dataclass(frozen=True)
class Outer(Plugin):
    kind = "methods"
    held: Inner | None = None
    shape: tuple[int, ...] = (1,)
    count: int | None = 3


@pytest.mark.parametrize(
    ("plugin", "line"),
    [
        (Inner(), "inner"),
        (Inner(rate=1e-4), "inner:rate=0.0001"),
        (Inner(word="other", rate=2.0), "inner:rate=2.0,word=other"),
        (Inner(word="12"), 'inner:word="12"'),
        (Inner(word="true"), 'inner:word="true"'),
        (Outer(shape=(3, 8)), "outer:shape=[3,8]"),
        (Outer(count=None), "outer:count=null"),
        (Outer(held=Inner(rate=0.5)), "outer:held=inner(rate=0.5)"),
    ],
)
def test_a_line_is_what_parse_turns_back(plugin, line, monkeypatch):
    classes = {"inner": Inner, "outer": Outer}
    monkeypatch.setattr(registry, "plugin_class", lambda kind, name: classes[name])
    assert plugin.line() == line
    assert registry.parse("methods", line) == plugin


@pytest.mark.parametrize("name", registry.names("methods"))
def test_every_method_is_named_by_its_line(name):
    method = registry.find("methods", name)
    assert registry.parse("methods", method.line()) == method


@dataclass(frozen=True)
class Strict(Plugin):
    """Checks of its own, which do not call those of the base."""

    kind = "methods"
    way: Literal["up", "down"] = "up"
    step: float | Literal["auto"] | None = "auto"
    name_of: str | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if self.step == 0.0:
            raise BadInput("own check")


@dataclass(frozen=True)
class Stricter(Strict):
    """A field more, and the checks that it inherits."""

    side: Literal["left", "right"] = "left"


@pytest.mark.parametrize("cls", [Strict, Stricter])
def test_words_are_checked_whatever_the_classes_own_checks(cls):
    with pytest.raises(BadInput, match=r"unknown way of strict(er)? 'don': did you mean 'down'\? choose from down, up"):
        cls(way="don")
    with pytest.raises(BadInput, match=r"unknown step of strict(er)? 'atuo'"):
        replace(cls(), step="atuo")
    with pytest.raises(BadInput, match=r"unknown way of strict(er)? 'None'"):
        cls(way=None)
    with pytest.raises(BadInput, match="own check"):
        cls(step=0.0)
    for step in (0.5, 1, None, "auto"):
        assert cls(step=step, way="down", name_of="any word").step == step


def test_words_of_a_subclass_are_checked():
    with pytest.raises(BadInput, match="unknown side of stricter 'up'"):
        Stricter(side="up")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_are_finite(value):
    with pytest.raises(BadInput, match=f"step of strict must be a finite number, got {value}"):
        Strict(step=value)


def worded() -> list[tuple[str, str, str]]:
    """Kind, name and setting of everything in the catalog that is one of a few words."""
    found = []
    for kind in registry.KINDS:
        for name in registry.names(kind):
            hints = get_type_hints(registry.plugin_class(kind, name))
            found += [(kind, name, key) for key, h in hints.items() if Literal in map(get_origin, (h, *get_args(h)))]
    return found


@pytest.mark.parametrize(("kind", "name", "setting"), worded())
def test_no_plug_in_takes_a_word_that_it_does_not_know(kind, name, setting):
    # A mechanism that is misspelt must not become another one with another promise of privacy.
    cls = registry.plugin_class(kind, name)
    given = {f.name: None for f in fields(cls) if f.init and f.default is MISSING and f.default_factory is MISSING}
    with pytest.raises(BadInput, match=f"unknown {setting} of {name} 'bogus': .*choose from"):
        cls(**{**given, setting: "bogus"})
