from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from lacunar.catalog import registry
from lacunar.catalog.needs import NEEDS
from lacunar.catalog.plugin import Plugin
from lacunar.core.errors import BadInput, NotApplicable


class Judge(Plugin):
    """A kind whose verb takes several offers."""

    kind = "evaluators"
    verb = "measure"
    needs: ClassVar[frozenset[str]]

    @abstractmethod
    def measure(self, trials: Sequence[Any]) -> list[str]: ...


@dataclass(frozen=True)
class Comparing(Judge):
    """Its verb calls its argument otherwise than the kind does."""

    needs = frozenset({"oracles"})

    def measure(self, given: Sequence[Any]) -> list[str]:
        return [f"{len(one.oracles)} oracles" for one in given]


@dataclass(frozen=True)
class Inheriting(Comparing):
    """A verb that is not its own is checked by its own needs."""

    needs = frozenset({"held_out"})


def trial(**more: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"oracles": (1, 2), "held_out": None, **more})


def test_the_verb_is_called_when_all_is_there_and_every_trial_is_asked():
    assert Comparing().measure([trial(), trial(oracles=(3,))]) == ["2 oracles", "1 oracles"]
    with pytest.raises(NotApplicable, match=r"^comparing needs retrained oracles \(oracles=\), and none is given$"):
        Comparing().measure([trial(), trial(oracles=())])


def test_none_nothing_and_an_empty_part_are_all_missing():
    for missing in (None, [], ""):
        with pytest.raises(NotApplicable, match="inheriting needs held-out examples"):
            Inheriting().measure([trial(held_out=missing)])
    assert Inheriting().measure([trial(held_out="here", oracles=())]) == ["0 oracles"]


@pytest.mark.parametrize(
    ("need", "message"),
    [
        ("oracle", r"unknown need of wrong 'oracle': did you mean 'oracles'\? choose from forget, held_out, oracles"),
        ("trace", "unknown need of wrong 'trace': .*choose from forget"),
    ],
)
def test_a_need_that_its_kind_cannot_have_is_refused_as_the_class_is_made(need, message):
    with pytest.raises(BadInput, match=message):
        type("Wrong", (Judge,), {"needs": frozenset({need})})


def test_every_need_has_words_and_is_of_a_kind_that_there_is():
    for need in NEEDS.values():
        assert len(need.words.split()) > 1
        assert need.where and set(need.where) <= set(registry.KINDS)


@pytest.mark.parametrize("kind", ["methods", "importance", "pruners", "evaluators"])
def test_paths_begin_with_an_argument_of_the_verb(kind):
    cls = registry.plugin_class(kind, registry.names(kind)[0])
    arguments = inspect.signature(getattr(cls, cls.verb)).parameters
    for need in NEEDS.values():
        if kind in need.where:
            assert need.where[kind].partition(".")[0] in arguments
