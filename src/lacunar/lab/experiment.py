"""What to run, as a value: read from a TOML file, every name and number in it checked before anything is trained."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from lacunar.auditing.evaluator import Evaluator
from lacunar.catalog import registry
from lacunar.core.errors import BadInput, unknown
from lacunar.data.data_set import DataSource, Splits
from lacunar.sparsity.pruner import Pruner
from lacunar.training.architecture import Architecture
from lacunar.training.recipe import Recipe
from lacunar.unlearning.exact import trained_by
from lacunar.unlearning.method import Method
from lacunar.unlearning.scenario import Scenario

FILE = "experiment.toml"
CONTROLS = ("do_nothing", "retrain", "random_weights")
"""Methods that every comparison carries: the first must fail, the second must pass, the third must fail utility."""

DENSE = "dense"
"""How a file writes "no pruner"."""

_GIVEN_ELSEWHERE = ("build",)


def _plugin(kind: str, given: Any) -> Any:
    if given == DENSE and kind == "pruners":
        return None
    if isinstance(given, str):
        return registry.parse(kind, given)
    if isinstance(given, Mapping) and isinstance(given.get("name"), str):
        return registry.find(kind, given["name"], **{k: v for k, v in given.items() if k != "name"})
    raise BadInput(f"one of {kind} is written as a line or as a table with a name, got {given!r}")


def _plugins(kind: str) -> BeforeValidator:
    def read(given: Any) -> tuple[Any, ...]:
        several = given if isinstance(given, (list, tuple)) else [given]
        return tuple(_plugin(kind, one) for one in several)

    return BeforeValidator(read)


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    twice = next((v for i, v in enumerate(values) if v in values[:i]), None)
    if twice is not None:
        raise BadInput(f"{twice.line() if hasattr(twice, 'line') else twice} is listed twice")
    return values


class Experiment(BaseModel):
    """Data x models x pruners x scenarios x methods x seeds, and how each cell is judged.

    A plug-in is a line such as ``"l1_sparse:gamma=1e-4"`` or a table ``{name = "l1_sparse", gamma = 1e-4}``.

    Attributes:
        title, question: for the page that reports the result.
        dataset, model: one plug-in or a list of them.
        recipe: settings of :class:`~lacunar.training.recipe.Recipe`; ``normalize`` comes from the data unless given.
            ``train`` names an exact unlearner that fits each model.
        pruners: originals and oracles are trained dense, and once more under the mask of each pruner; "dense" stands
            for no pruner.
        recipes: named variants of it, such as a short one: settings that replace those of ``recipe``, and ``rewind``.
        rewind: where weights go back to when a mask is found, see
            :func:`~lacunar.sparsity.prune_and_train.train_pruned`.
        scenarios: what must be forgotten; drawn anew for each seed.
        methods: the controls are added where they are missing.
        evaluators: the judges.
        seeds: of the first training, the draw of the scenario, the methods and the judges.
        oracles: retrained models per posed problem.
        columns: measurements that tables show, in this order; empty for all.
        disparity: measurements whose distances to the oracle are averaged; empty for all of ``columns``.
        device: "auto" is CUDA where there is one.
        workers: processes that share the work.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    title: str = ""
    question: str = ""
    dataset: Annotated[tuple[DataSource, ...], _plugins("datasets"), Field(min_length=1)]
    model: Annotated[tuple[Architecture, ...], _plugins("models"), Field(min_length=1)]
    recipe: dict[str, Any] = {}
    recipes: dict[str, dict[str, Any]] = {}
    pruners: Annotated[tuple[Pruner | None, ...], _plugins("pruners"), Field(min_length=1)] = (None,)
    rewind: int | Literal["init", "none"] = "init"
    scenarios: Annotated[tuple[Scenario, ...], _plugins("scenarios"), Field(min_length=1)]
    methods: Annotated[tuple[Method, ...], _plugins("methods")] = ()
    evaluators: Annotated[tuple[Evaluator, ...], _plugins("evaluators"), Field(min_length=1)]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    oracles: Annotated[int, Field(ge=0)] = 5
    columns: tuple[str, ...] = ()
    disparity: tuple[str, ...] = ()
    device: str = "auto"
    workers: Annotated[int, Field(ge=1)] = 1

    @field_validator("dataset", "model", "pruners", "scenarios", "methods", "evaluators", "seeds")
    @classmethod
    def _no_repeats(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return _distinct(values)

    @field_validator("methods")
    @classmethod
    def _with_controls(cls, methods: tuple[Method, ...]) -> tuple[Method, ...]:
        missing = [name for name in CONTROLS if name not in {m.name() for m in methods}]
        return (*(registry.find("methods", name) for name in missing), *methods)

    @field_validator("recipe")
    @classmethod
    def _known_settings(cls, settings: dict[str, Any]) -> dict[str, Any]:
        return _settings(settings)

    @field_validator("recipes")
    @classmethod
    def _known_variants(cls, named: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for changes in named.values():
            _settings({name: value for name, value in changes.items() if name != "rewind"})
        return named

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """A checked experiment.

        Raises:
            BadInput: an unknown key (the nearest one is named), a key that is missing, an unknown plug-in or setting.
        """
        try:
            return cls.model_validate(dict(content))
        except ValidationError as error:
            raise _sentence(error, list(cls.model_fields)) from error

    @classmethod
    def read(cls, path: Path | str, overrides: Sequence[str] = (), recipe: str | None = None) -> Self:
        """The experiment of a TOML file, or of the ``experiment.toml`` of a folder.

        Args:
            recipe: one of the file's named ``recipes``, to be followed by every row.
            overrides: ``"recipe.epochs=5"``: a key with its value, which is JSON or a bare word.

        Raises:
            BadInput: no such file, not TOML, or as :meth:`of`.
        """
        try:
            content = tomllib.loads(file_of(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BadInput(f"there is no experiment {str(file_of(path))!r}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"{str(file_of(path))!r} is not a TOML file: {error}") from error
        if recipe is not None:
            _follow(content, recipe)
        for override in overrides:
            _override(content, override)
        return cls.of(content)

    def recipe_for(self, model: Architecture, splits: Splits) -> Recipe:
        """How ``model`` is trained on these data."""
        settings = {"normalize": splits.normalize, **self.recipe}
        fitted = settings.pop("train", None)
        made = Recipe(build=model.shaped(splits.train), **settings)
        return made if fitted is None else trained_by(registry.parse("exact_unlearners", fitted), made)


def file_of(path: Path | str) -> Path:
    """The TOML file that ``path`` means: itself, or the one in the folder."""
    return Path(path) / FILE if Path(path).is_dir() else Path(path)


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(Recipe)
    known = [f.name for f in fields(Recipe) if f.name not in _GIVEN_ELSEWHERE]
    for name in given:
        if name not in known:
            raise unknown("setting of the recipe", name, known)
    checked = {name: _checked(name, hints[name], value) for name, value in given.items() if name != "train"}
    Recipe(**checked)
    if "train" in given:
        checked["train"] = registry.parse("exact_unlearners", str(given["train"])).line()
    return checked


def _checked(name: str, hint: Any, value: Any) -> Any:
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        raise BadInput(f"recipe.{name} cannot be {value!r}: {error.errors()[0]['msg']}") from error


def _follow(content: dict[str, Any], name: str) -> None:
    named = content.get("recipes", {})
    if name not in named:
        raise unknown("recipe of the experiment", name, named)
    changes = dict(named[name])
    content["rewind"] = changes.pop("rewind", content.get("rewind", "init"))
    content["recipe"] = {**content.get("recipe", {}), **changes}


def _override(content: dict[str, Any], text: str) -> None:
    path, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"an override is written key=value, such as recipe.epochs=5, got {text!r}")
    *tables, key = (part.strip() for part in path.split("."))
    for table in tables:
        content = content.setdefault(table, {})
        if not isinstance(content, dict):
            raise BadInput(f"{path.strip()!r} cannot be set: {table} is not a table of the experiment")
    try:
        content[key] = json.loads(value)
    except ValueError:
        content[key] = value.strip()


def _sentence(error: ValidationError, keys: list[str]) -> BadInput:
    # A key that is misspelt is missing as well; the misspelling says more.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return unknown("key of the experiment", place, keys)
    if first["type"] == "missing":
        return BadInput(f"the experiment has no {place!r}; add it")
    given = first.get("ctx", {}).get("error")
    if isinstance(given, BadInput):
        return BadInput(f"{place} of the experiment: {given}")
    return BadInput(f"{place} of the experiment cannot be {first['input']!r}: {first['msg']}")
