"""A request, read: everything that its words name, once, for every verb."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from lacunar.core import named, store
from lacunar.core.errors import BadInput
from lacunar.core.files import file_digest, read_json
from lacunar.core.masks import Mask
from lacunar.core.rng import generator_of
from lacunar.core.weights import load_mask, load_model
from lacunar.data.examples import Source
from lacunar.data.id_file import read_ids
from lacunar.data.ids import ids_digest
from lacunar.jobs import values
from lacunar.jobs.data_parts import Parts, parts
from lacunar.jobs.request import FILES, Request
from lacunar.jobs.run_folder import BASE, COMPACT, MASK, request_in
from lacunar.machine.device import device as device_named
from lacunar.sparsity.channels.cut import SmallerBuild, cuts_of
from lacunar.training.recipe import Recipe
from lacunar.unlearning.scenario import Posed


@dataclass(frozen=True, eq=False)
class Given:
    """Everything that a request names.

    Attributes:
        request: with what it leaves out taken from the folder of its weights, and the recipe's settings in full.
        recipe_stated: whether the user, or that folder, said anything of the recipe.
        device: where the work is done.
        parts: the examples, on the CPU; ``train`` is what training saw, the scenario's doings included.
        posed: what must be forgotten; None where nothing was named.
        recipe: how the model is trained; of the cut net where channels were cut out.
        model: with the weights of the request, in eval mode; None where none were named.
        mask, where: live weights, and weights that may move; None for all.
        seen: digests of all this, by the name of the option: what makes two requests the same.
    """

    request: Request
    recipe_stated: bool
    device: torch.device
    parts: Parts
    posed: Posed | None
    recipe: Recipe
    model: nn.Module | None
    mask: Mask | None
    where: Mask | None
    seen: dict[str, str]


def read(request: Request) -> Given:
    """Read all that a request names; nothing is computed and nothing is written.

    When ``weights`` is a folder that train, prune or compact wrote, what the request leaves out is taken from there.

    Raises:
        BadInput: data or model missing, and anything named that is not there, cannot be read, or does not fit.
        NotApplicable: files of a data set are not there.
    """
    device = device_named(request.device)
    request = request if request.weights is None else after_training(request)
    data, line = needed(request.data, "--data"), needed(request.model, "--model")
    found = parts(data, request.test, request.tuning)
    posed = _posed(request, found.train)
    found = found if posed is None else found.posed(posed)
    recipe = values.recipe(request.recipe, values.architecture(line, found.train), found.normalize)
    recipe = _cut(recipe, request.compact)
    fresh = recipe.fresh(0)
    model = None if request.weights is None else load_model(request.weights, fresh).eval()
    mask, where = (None if path is None else _mask(path, fresh) for path in (request.mask, request.where))
    seen, full = _seen(request, found, posed, recipe), _in_full(request, recipe)
    return Given(full, bool(request.recipe), device, found, posed, recipe, model, mask, where, seen)


def needed(value: str | None, option: str) -> str:
    """The value of an option.

    Raises:
        BadInput: it is missing.
    """
    if value is None:
        raise BadInput(f"{option} is missing; see --help for what it takes")
    return value


def after_training(request: Request) -> Request:
    """The request, with what it leaves out taken from the folder that its ``weights`` name, if they name one.

    Raises:
        BadInput: a folder that train, prune or compact has not finished.
    """
    place = Path(needed(request.weights, "--weights"))
    if not place.is_dir():
        return request
    if not (place / BASE).is_file():
        raise BadInput(f"{str(place)!r} holds no {BASE}; give a file with weights, or a folder that train has finished")
    mask, compact = (str(place / name) if (place / name).is_file() else None for name in (MASK, COMPACT))
    # Where the model was trained is no part of a request that follows.
    full = request.over(replace(request_in(place), device="auto"))
    return replace(full, weights=str(place / BASE), mask=request.mask or mask, compact=compact)


def _posed(request: Request, train: Source) -> Posed | None:
    if request.forget is not None and request.scenario is not None:
        raise BadInput("say what must be forgotten, by either --forget FILE or --scenario NAME, not both")
    if request.forget is not None:
        return Posed(read_ids(request.forget, request.id_column), train)
    if request.id_column is not None:
        raise BadInput("--id-column belongs to --forget FILE, and there is none")
    if request.scenario is None:
        return None
    if request.scenario.partition(":")[0].strip() == "ids":
        raise BadInput("ids are given in a file, which stays yours: --forget ids.csv instead of --scenario ids")
    return values.scenario(request.scenario).pose(train, generator_of(request.scenario_seed, "scenario"))


def _cut(recipe: Recipe, compact: str | None) -> Recipe:
    if compact is None or recipe.build is None:
        return recipe
    return replace(recipe, build=SmallerBuild(recipe.build, cuts_of(read_json(compact))))


def _mask(path: str, model: nn.Module) -> Mask:
    mask = load_mask(path)
    try:
        named.same_keys(named.parameters(model), mask)
    except BadInput as error:
        raise BadInput(f"the mask {path!r} is of another model than the weights: {error}") from error
    return mask


def _seen(request: Request, found: Parts, posed: Posed | None, recipe: Recipe) -> dict[str, str]:
    seen = {"data": found.train.digest()}
    for name in FILES:
        # A list of ids is the same in any order and in any form of file.
        if name != "forget" and getattr(request, name) is not None:
            seen[name] = file_digest(getattr(request, name))
    if posed is not None:
        seen["forget"] = ids_digest(torch.unique(posed.forget_ids))
        if posed.corrected is not None:
            seen["corrected"] = posed.corrected.digest()
    if found.tuning is not None:
        seen["tuning"] = found.tuning.digest()
    if request.names_code("recipe"):
        seen["recipe"] = store.digest(recipe.settings())
    return seen


def _in_full(request: Request, recipe: Recipe) -> Request:
    if isinstance(request.recipe, str):
        return request
    settings = {key: value for key, value in recipe.settings().items() if key not in ("build", "train")}
    fitted = {"train": request.recipe["train"]} if "train" in request.recipe else {}
    return replace(request, recipe={**settings, **fitted})
