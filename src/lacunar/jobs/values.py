"""What a user names, as values: catalog lines, import strings and settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any

from torch import nn

from lacunar.catalog.import_strings import imported, is_import_string
from lacunar.catalog.plugin import Plugin
from lacunar.catalog.registry import filled, is_known, parse, parse_line, parse_settings, plugin_class
from lacunar.core.errors import BadInput, LacunarError
from lacunar.data.data_set import DataSource
from lacunar.data.examples import Source
from lacunar.training.architecture import Architecture
from lacunar.training.recipe import Recipe
from lacunar.unlearning.exact import trained_by
from lacunar.unlearning.method import Method
from lacunar.unlearning.scenario import Scenario

Normalize = tuple[tuple[float, ...], tuple[float, ...]]


def is_code(kind: str, text: str) -> bool:
    """Whether ``text`` names code by an import string, and not a plug-in of the catalog."""
    return is_import_string(text) and not is_known(kind, text.partition(":")[0])


def architecture(text: str, train: Source) -> Callable[[], nn.Module]:
    """What builds a fresh model: a catalog line, shaped for ``train``, or an import string of a function or class.

    Settings that the line gives win over the shape of the data.

    Raises:
        BadInput: an unknown name, or something that is not callable without arguments.
    """
    if is_code("models", text):
        found = imported(text)
        if isinstance(found, nn.Module) or not callable(found):
            raise BadInput(
                f"{text} is {kind_of(found)}; a model is given as a function or class that builds a fresh one, since "
                "retrained oracles start anew"
            )
        return wraps(found, updated=())(lambda: _built(text, found))  # the recipe is identified by the user's own code
    name, settings = parse_line(text)
    plain = plugin("models", text)
    assert isinstance(plain, Architecture)
    return filled(type(plain), name, {**plain.shaped(train).settings(), **settings})


def _built(text: str, build: Callable[[], Any]) -> nn.Module:
    model = called(text, build)
    if not isinstance(model, nn.Module):
        raise BadInput(f"{text} returned {kind_of(model)}, not a torch.nn.Module")
    return model


def recipe(asked: str | Mapping[str, Any], build: Callable[[], nn.Module], normalize: Normalize | None) -> Recipe:
    """How the model was trained: settings over the defaults, or an import string of a Recipe.

    A recipe without ``build`` gets the given one; settings without ``normalize`` get that of the data set. The setting
    ``train`` names an exact unlearner that fits each model of the recipe.

    Raises:
        BadInput: an unknown setting, a value that it cannot hold, or an object that is not a Recipe.
    """
    if not isinstance(asked, str):
        plain = {name: value for name, value in asked.items() if name != "train"}
        made = filled(Recipe, "recipe", {"build": build, "normalize": normalize, **plain})
        return made if "train" not in asked else trained_by(parse("exact_unlearners", str(asked["train"])), made)
    found = imported(asked)
    if not isinstance(found, Recipe):
        found = called(asked, found)
    if not isinstance(found, Recipe):
        raise BadInput(f"{asked} is {kind_of(found)}, not a lacunar.Recipe")
    return found if found.build is not None else replace(found, build=build)


def method(text: str, settings: Mapping[str, Any]) -> Method:
    """A method from a catalog line or an import string, with further settings.

    Raises:
        BadInput: an unknown method or setting, or a setting that the line gives as well.
    """
    found = plugin("methods", text, settings)
    assert isinstance(found, Method)
    return found


def scenario(text: str) -> Scenario:
    """A scenario from a catalog line or an import string.

    Raises:
        BadInput: an unknown scenario or setting.
    """
    found = plugin("scenarios", text)
    assert isinstance(found, Scenario)
    return found


_KINDS: dict[str, type[Plugin]] = {
    "methods": Method,
    "scenarios": Scenario,
    "models": Architecture,
    "datasets": DataSource,
}


def plugin(kind: str, text: str, settings: Mapping[str, Any] | None = None) -> Plugin:
    """A plug-in from a catalog line or the import string of a class, with further settings.

    Raises:
        BadInput: an unknown name or setting, a setting that the line gives as well, or a class of another kind.
    """
    more = dict(settings or {})
    if not is_code(kind, text):
        name, own = parse_line(text)
        if twice := sorted(set(own) & set(more)):
            raise BadInput(f"the setting {twice[0]!r} of {name} is given twice")
        return filled(plugin_class(kind, name), name, {**own, **more})
    found = imported(text)
    if not (isinstance(found, type) and issubclass(found, _KINDS[kind])):
        raise BadInput(f"{text} is {kind_of(found)}, not a subclass of lacunar.{_KINDS[kind].__name__}")
    return filled(found, found.name(), more)


def settings_or_code(words: Sequence[str]) -> str | dict[str, Any]:
    """Words like ``epochs=3`` as settings; one word without ``=`` is an import string, and stays as it is."""
    if len(words) == 1 and "=" not in words[0]:
        return words[0]
    return parse_settings(",".join(words))


def called(text: str, function: Any) -> Any:
    """What the user's function returns; an error inside it becomes one sentence.

    Raises:
        BadInput: it is not callable without arguments, or it failed.
    """
    if not callable(function):
        raise BadInput(f"{text} is {kind_of(function)}, which is neither what is needed nor a function that returns it")
    try:
        return function()
    except LacunarError:
        raise
    except Exception as error:
        raise BadInput(f"calling {text}() failed: {type(error).__name__}: {error}") from error


def kind_of(value: Any) -> str:
    """What a value is, in words for a message."""
    return f"the class {value.__name__}" if isinstance(value, type) else f"an object of type {type(value).__name__}"
