"""Everything that can be known to be wrong before anything is computed or written."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lacunar.auditing.signals import accuracy
from lacunar.catalog.registry import find, names
from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable, sample_of
from lacunar.core.files import read_json
from lacunar.core.rng import generator_of
from lacunar.core.weights import load_mask, load_model
from lacunar.data.duplicates import prints
from lacunar.data.examples import Examples, Source
from lacunar.data.id_file import read_ids
from lacunar.data.ids import ids_digest
from lacunar.jobs import run_folder, words
from lacunar.jobs.run_folder import BASE, COMPACT, MASK, Request, file_digest
from lacunar.jobs.words import Parts
from lacunar.machine.device import device as device_named
from lacunar.sparsity.channels.cut import SmallerBuild, cuts_of
from lacunar.training.recipe import Recipe
from lacunar.training.settings import Descent
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem, check_head
from lacunar.unlearning.scenario import Posed


@dataclass(frozen=True)
class Training:
    """A checked request to train.

    Attributes:
        request: with every setting resolved.
        recipe, examples: how and on what; the examples are on the device.
        parts: what was named, test examples included.
        seen: digests of what the request is about.
    """

    request: Request
    recipe: Recipe
    examples: Source
    parts: Parts
    seen: dict[str, str]

    def scores(self, model: nn.Module) -> dict[str, float]:
        """Accuracy on training and test examples, in [0, 1]; the mean loss where labels are not classes."""
        named = {"train": self.examples, "test": self.parts.test}
        return dict(_score(self.recipe, model, part, name) for name, part in named.items() if part is not None)


def _score(recipe: Recipe, model: nn.Module, part: Source, name: str) -> tuple[str, float]:
    z, y = recipe.predict(model, part.to(next(model.parameters()).device)), part.y.cpu()
    if part.class_counts() and z.ndim == 2:
        return f"{name}_accuracy", accuracy(z, y)
    return f"{name}_loss", float(recipe.losses(z, y).mean())


@dataclass(frozen=True)
class Unlearning:
    """A checked request to unlearn.

    Attributes:
        request: with every setting resolved.
        problem, method: what is asked and what is to be run.
        parts: what was named, test examples included.
        seen: digests of what the request is about.
    """

    request: Request
    problem: Problem
    method: Method
    parts: Parts
    seen: dict[str, str]

    def facts(self) -> dict[str, Any]:
        """What is about to be done, as JSON values; ids appear as count and hash only."""
        problem = self.problem
        return {
            "model": {"name": self.request.model, "weights": named.count(named.weights(problem.model))},
            "data": {"name": self.request.data, "examples": len(problem.retain) + len(problem.forget)},
            "test": None if self.parts.test is None else len(self.parts.test),
            "forget": {
                "count": len(problem.forget),
                "classes": {str(label): n for label, n in problem.forget.class_counts().items()},
                "ids_sha256": ids_digest(problem.forget.ids),
            },
            "retain": len(problem.retain),
            "method": self.method.spec(),
            "recipe": problem.recipe.settings(),
            "applicable_methods": applicable(problem),
            "notes": list(problem.notes),
        }


def training(request: Request) -> Training:
    """Check a request to train.

    Raises:
        BadInput: anything that can be known to be wrong.
        NotApplicable: files of a data set that are not there.
    """
    device = device_named(request.device)
    data, model = _needed(request.data, "--data"), _needed(request.model, "--model")
    parts = words.parts(data, request.test)
    examples = parts.train if request.scenario is None else _pose(request, parts.train).seen
    recipe = words.recipe(request.recipe, words.architecture(model, examples), parts.normalize)
    check_head(recipe.fresh(request.seed), recipe, *(part for part in (examples, parts.test) if part is not None))
    return Training(_resolved(request, recipe), recipe, examples.to(device), parts, {"data": examples.digest()})


def unlearning(request: Request) -> Unlearning:
    """Check a request to unlearn: read everything, pose the problem, ask the method whether it applies.

    When ``weights`` is a folder that ``train`` wrote, what the request leaves out is taken from there.

    Raises:
        BadInput: anything that can be known to be wrong.
        NotApplicable: the method cannot serve this problem, or files of a data set are not there.
    """
    device_named(request.device)
    # In what order the model was trained is no part of a request to unlearn.
    request = replace(after_training(request), seed=request.seed)
    method = words.method(_needed(request.method, "--method"), request.settings)
    _check_descent(method)
    weights = _needed(request.weights, "--weights")
    data, model_name = _needed(request.data, "--data"), _needed(request.model, "--model")
    parts = words.parts(data, request.test)
    posed = _pose(request, parts.train)
    parts = replace(parts, test=posed.as_asked(parts.test), validation=posed.as_asked(parts.validation))
    recipe = whole_or_cut(
        request, words.recipe(request.recipe, words.architecture(model_name, posed.seen), parts.normalize)
    )
    model = load_model(weights, recipe.fresh(0)).eval()
    problem = _problem(request, model, posed, recipe, parts)
    method.check(problem)
    # A class of plain code is named by its import string, which is the user's to repeat.
    name = _needed(request.method, "--method") if words.is_code("methods", request.method or "") else method.name()
    resolved = replace(_resolved(request, recipe), method=name, settings=method.settings())
    seen = {
        "data": posed.seen.digest(),
        "forget": ids_digest(problem.forget.ids),
        "weights": file_digest(weights),
    }
    return Unlearning(resolved, problem, method, parts, seen)


def again(folder: Path, request: Request) -> Unlearning:
    """Pose the problem of a run folder again, for its audit.

    Args:
        request: what the user repeats; the rest is read from the folder.

    Raises:
        BadInput: as :func:`unlearning`; data, ids or weights that are not those of the run; no test examples.
    """
    recorded = run_folder.record_in(folder)
    ready = unlearning(request.over(Request.read(folder)))
    for what, option in (("data", "--data"), ("forget", "--forget"), ("weights", "--weights")):
        if recorded["seen"].get(what) != ready.seen[what]:
            raise BadInput(f"{option} is not what the run in {str(folder)!r} used: it has changed since, or is another")
    if ready.parts.test is None:
        raise BadInput("an audit needs test examples, which training never saw: give --test")
    return ready


def applicable(problem: Problem) -> list[str]:
    """The names of the methods whose needs this problem meets."""
    return [name for name in names("methods") if _applies(name, problem)]


def _applies(name: str, problem: Problem) -> bool:
    try:
        find("methods", name).check(problem)
    except NotApplicable:
        return False
    return True


def _check_descent(method: Method) -> None:
    # A method may give `schedule` a meaning of its own; all other shared settings are those of the loop.
    Descent.of(method, schedule="constant")
    for held in vars(method).values():
        if isinstance(held, Method):
            _check_descent(held)


def _needed(value: str | None, option: str) -> str:
    if value is None:
        raise BadInput(f"{option} is missing; see --help for what it takes")
    return value


def whole_or_cut(request: Request, recipe: Recipe) -> Recipe:
    """The recipe of the net that the request is about: without the channels that its ``compact`` file cuts out."""
    if request.compact is None or recipe.build is None:
        return recipe
    return replace(recipe, build=SmallerBuild(recipe.build, cuts_of(read_json(request.compact))))


def after_training(request: Request) -> Request:
    """The request, with what it leaves out taken from the folder that its ``weights`` name, if they name one.

    Raises:
        BadInput: a folder that train, prune or compact has not finished.
    """
    place = Path(_needed(request.weights, "--weights"))
    if not place.is_dir():
        return request
    if not (place / BASE).is_file():
        raise BadInput(f"{str(place)!r} holds no {BASE}; give a file with weights, or a folder that train has finished")
    mask, compact = (str(place / name) if (place / name).is_file() else None for name in (MASK, COMPACT))
    # Where the model was trained is no part of a request that follows.
    full = request.over(replace(Request.read(place), device="auto"))
    return replace(full, weights=str(place / BASE), mask=request.mask or mask, compact=compact)


def _pose(request: Request, train: Source) -> Posed:
    if (request.forget is None) == (request.scenario is None):
        raise BadInput("say what must be forgotten, by either --forget FILE or --scenario NAME, not both")
    if request.scenario is not None:
        if request.id_column is not None:
            raise BadInput("--id-column belongs to --forget FILE, and there is none")
        if request.scenario.partition(":")[0].strip() == "ids":
            raise BadInput("ids are given in a file, which stays yours: --forget ids.csv instead of --scenario ids")
        return words.scenario(request.scenario).pose(train, generator_of(request.scenario_seed, "scenario"))
    assert request.forget is not None
    return Posed(read_ids(request.forget, request.id_column), train)


def _problem(request: Request, model: nn.Module, posed: Posed, recipe: Recipe, parts: Parts) -> Problem:
    mask, where = (None if path is None else load_mask(path) for path in (request.mask, request.where))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the forget list has")  # a note of the problem says the same
        problem = Problem.of(
            model,
            posed.seen,
            posed.forget_ids,
            recipe,
            request.seed,
            device=request.device,
            mask=mask,
            where=where,
            corrected=posed.corrected,
            tuning=parts.validation,
        )
    notes = [*posed.notes, *problem.notes, *_notes(request, posed, problem), *_test_notes(problem, parts.test)]
    return replace(problem, notes=tuple(notes))


def _notes(request: Request, posed: Posed, problem: Problem) -> Iterable[str]:
    n = len(posed.seen)
    if request.id_column is not None and torch.equal(posed.seen.ids.cpu(), torch.arange(n)):
        yield (
            f"the training data have no ids of their own, so {request.id_column} is read as positions 0 to {n - 1}; "
            "give the data set an attribute ids if that is wrong"
        )
    if not request.recipe:
        yield (
            "no --recipe was given: retraining for comparison uses lacunar's defaults (epochs="
            f"{problem.recipe.epochs}, lr={problem.recipe.lr:g}, ...), which may not be how this model was trained"
        )
    if len(problem.forget) > len(problem.retain):
        yield "more than half of the training set is to be forgotten: retraining is probably cheaper"


def _test_notes(problem: Problem, test: Source | None) -> Iterable[str]:
    if test is None:
        return
    forget = problem.forget
    try:
        check_head(problem.model, problem.recipe, test)
    except BadInput as error:
        raise BadInput(f"the test data do not fit: {error}") from error
    if len(shared := forget.ids.cpu()[test.has(forget.ids)]):
        raise BadInput(
            f"{len(shared)} of {len(forget)} ids to forget are in the test data as well: {sample_of(shared.tolist())}; "
            "a model cannot be judged on examples that it was trained on"
        )
    if not (isinstance(forget, Examples) and isinstance(test, Examples)):
        return  # reading a large data set from end to end is left to the audit
    held = set(prints(test))
    copies = sum(content in held for content in prints(forget))
    if copies == len(forget):
        raise BadInput("every example to forget is in the test data as well; is --test the training set?")
    if copies:
        yield f"{copies} of {len(forget)} examples to forget have an exact copy in the test data"


def _resolved(request: Request, recipe: Recipe) -> Request:
    if isinstance(request.recipe, str):
        return request
    settings = {key: value for key, value in recipe.settings().items() if key not in ("build", "train")}
    return replace(request, recipe=settings)
