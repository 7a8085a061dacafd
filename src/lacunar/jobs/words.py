"""What a user names on the command line, turned into values: catalog lines, import strings and settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from torch import nn

from lacunar.catalog.import_strings import imported, is_import_string
from lacunar.catalog.plugin import Plugin
from lacunar.catalog.registry import filled, names, parse_line, parse_settings, plugin_class
from lacunar.core.errors import BadInput, LacunarError
from lacunar.data.data_set import DataSource, Splits
from lacunar.data.examples import Source
from lacunar.data.stream import load
from lacunar.training.architecture import Architecture
from lacunar.training.recipe import Recipe
from lacunar.unlearning.method import Method
from lacunar.unlearning.scenario import Scenario

Normalize = tuple[tuple[float, ...], tuple[float, ...]]


def is_code(kind: str, text: str) -> bool:
    """Whether ``text`` names code by an import string, and not a plug-in of the catalog."""
    return is_import_string(text) and text.partition(":")[0] not in names(kind)


@dataclass(frozen=True)
class Parts:
    """The examples that were named.

    Attributes:
        train, test, validation: None where nothing was named.
        normalize: what the data set recommends to the recipe.
    """

    train: Source
    test: Source | None = None
    validation: Source | None = None
    normalize: Normalize | None = None


def parts(data: str, test: str | None = None) -> Parts:
    """The training examples ``data`` and, when they are named or come along with them, the test examples.

    A catalog line is a whole data set. An import string is a data set in any form that :func:`lacunar.data.stream.load`
    takes, a :class:`~lacunar.data.data_set.Splits`, or a function without arguments that returns one of these. Test
    examples without ids of their own are numbered after the training examples.

    Raises:
        BadInput: a name or an object that is not a data set.
        NotApplicable: the files of a data set are not there.
    """
    given = _data(data)
    whole = Parts(_loaded(data, given))
    if isinstance(given, Splits):
        whole = Parts(given.train, given.test, given.validation, given.normalize)
    if test is None:
        return whole
    held = _data(test)
    after = int(whole.train.ids.max()) + 1
    return replace(whole, test=held.test if isinstance(held, Splits) else _loaded(test, held, after))


def _loaded(text: str, found: Any, first_id: int = 0) -> Source:
    if isinstance(found, Splits):
        return found.train
    try:
        return load(found, first_id=first_id)
    except LacunarError:
        raise
    except Exception as error:
        raise BadInput(f"reading {text} failed: {type(error).__name__}: {error}") from error


def _data(text: str) -> Any:
    if not is_code("datasets", text):
        source = _plugin("datasets", text)
        assert isinstance(source, DataSource)
        return source.load()
    found = imported(text)
    if not _holds_data(found):
        found = called(text, found)
    if isinstance(found, DataSource):
        return found.load()
    if not (_holds_data(found) or isinstance(found, Splits)):
        raise BadInput(
            f"{text} is {_a(found)}, not a data set: it must have __len__ and __getitem__ (items (x, y)), or be a pair "
            "(x, y) of arrays"
        )
    return found


def _holds_data(found: Any) -> bool:
    return isinstance(found, (Source, Splits)) or (
        not isinstance(found, type) and hasattr(found, "__getitem__") and hasattr(found, "__len__")
    )


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
                f"{text} is {_a(found)}; a model is given as a function or class that builds a fresh one, since "
                "retrained oracles start anew"
            )
        return wraps(found, updated=())(lambda: _built(text, found))  # the recipe is identified by the user's own code
    name, settings = parse_line(text)
    plain = _plugin("models", text)
    assert isinstance(plain, Architecture)
    return filled(type(plain), name, {**plain.shaped(train).settings(), **settings})


def _built(text: str, build: Callable[[], Any]) -> nn.Module:
    model = called(text, build)
    if not isinstance(model, nn.Module):
        raise BadInput(f"{text} returned {_a(model)}, not a torch.nn.Module")
    return model


def recipe(asked: str | Mapping[str, Any], build: Callable[[], nn.Module], normalize: Normalize | None) -> Recipe:
    """How the model was trained: settings over the defaults, or an import string of a Recipe.

    A recipe without ``build`` gets the given one; settings without ``normalize`` get that of the data set.

    Raises:
        BadInput: an unknown setting, a value that it cannot hold, or an object that is not a Recipe.
    """
    if not isinstance(asked, str):
        return filled(Recipe, "recipe", {"build": build, "normalize": normalize, **asked})
    found = imported(asked)
    if not isinstance(found, Recipe):
        found = called(asked, found)
    if not isinstance(found, Recipe):
        raise BadInput(f"{asked} is {_a(found)}, not a lacunar.Recipe")
    return found if found.build is not None else replace(found, build=build)


def method(text: str, settings: Mapping[str, Any]) -> Method:
    """A method from a catalog line or an import string, with further settings.

    Raises:
        BadInput: an unknown method or setting, or a setting that the line gives as well.
    """
    found = _plugin("methods", text, settings)
    assert isinstance(found, Method)
    return found


def scenario(text: str) -> Scenario:
    """A scenario from a catalog line or an import string.

    Raises:
        BadInput: an unknown scenario or setting.
    """
    found = _plugin("scenarios", text)
    assert isinstance(found, Scenario)
    return found


_KINDS: dict[str, type[Plugin]] = {
    "methods": Method,
    "scenarios": Scenario,
    "models": Architecture,
    "datasets": DataSource,
}


def _plugin(kind: str, text: str, settings: Mapping[str, Any] | None = None) -> Plugin:
    more = dict(settings or {})
    if not is_code(kind, text):
        name, own = parse_line(text)
        if twice := sorted(set(own) & set(more)):
            raise BadInput(f"the setting {twice[0]!r} of {name} is given twice")
        return filled(plugin_class(kind, name), name, {**own, **more})
    found = imported(text)
    if not (isinstance(found, type) and issubclass(found, _KINDS[kind])):
        raise BadInput(f"{text} is {_a(found)}, not a subclass of lacunar.{_KINDS[kind].__name__}")
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
        raise BadInput(f"{text} is {_a(function)}, which is neither what is needed nor a function that returns it")
    try:
        return function()
    except LacunarError:
        raise
    except Exception as error:
        raise BadInput(f"calling {text}() failed: {type(error).__name__}: {error}") from error


def _a(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"an object of type {type(value).__name__}"
