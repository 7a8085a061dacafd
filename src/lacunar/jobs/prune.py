"""``prune``: a sparse model with its mask, which ``unlearn`` and ``compact`` can follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from lacunar.catalog.registry import filled, parse
from lacunar.core import masks
from lacunar.core.errors import BadInput
from lacunar.core.files import read_json, write_json
from lacunar.core.masks import Mask
from lacunar.core.weights import save_mask, save_model
from lacunar.data.batches import Inputs
from lacunar.jobs import run_folder
from lacunar.jobs.job import Job
from lacunar.jobs.request import Request
from lacunar.jobs.run_folder import BASE, MASK, PRUNED
from lacunar.jobs.told import Told, unlearning_of
from lacunar.jobs.train import check_fit, scores
from lacunar.jobs.words import Given, read
from lacunar.sparsity.amount import live_counts
from lacunar.sparsity.prune_and_train import Rewind, prune_trained, train_pruned
from lacunar.sparsity.pruner import Pruner
from lacunar.sparsity.scope import Scope
from lacunar.training.recipe import Recipe
from lacunar.training.watch import Watch

PROBE = 8
"""How many training examples a net is followed on, and the outputs of a compacted one are compared on."""


@dataclass(frozen=True, eq=False)
class Pruning(Job[tuple[nn.Module, Mask]]):
    """A checked request to prune.

    Attributes:
        given: what was named; without a model, one is trained first.
        pruner, rewind, finetune: how it becomes sparse.
    """

    given: Given
    pruner: Pruner
    rewind: Rewind
    finetune: Recipe | None

    result: ClassVar[str] = BASE
    title: ClassVar[str] = "pruning"

    def record(self) -> dict[str, Any]:
        return run_folder.record(self.given.request, self.given.seen)

    def do(self, watch: Watch) -> tuple[nn.Module, Mask]:
        given, seed = self.given, self.given.request.seed
        recipe, examples = given.recipe, given.parts.train.to(given.device)
        if given.model is None:
            return train_pruned(recipe, examples, self.pruner, self.rewind, seed, finetune=self.finetune, watch=watch)
        return prune_trained(
            given.model.to(given.device),
            recipe,
            examples,
            self.pruner,
            self.rewind,
            seed,
            within=given.mask,
            finetune=self.finetune,
            watch=watch,
        )

    def save(self, folder: Path, made: tuple[nn.Module, Mask]) -> None:
        model, mask = made
        in_scope = {name: mask[name] for name in Scope.of(self.pruner).names(model)}
        facts = {
            "pruner": self.pruner.spec(),
            "rewind": self.rewind,
            "density": {"scope": masks.density(in_scope), "net": masks.density(mask)},
            "live": live_counts(mask),
            **scores(self.given, model),
        }
        write_json(folder / PRUNED, facts)
        save_mask(folder / MASK, mask)
        save_model(folder / BASE, model)

    def tell(self, folder: Path) -> Told:
        found = read_json(folder / PRUNED)
        density = found["density"]
        lines = [
            f"weights: {folder / BASE}",
            f"live: {density['scope']:.4f} of the weights in scope, {density['net']:.4f} of the whole net",
            *(f"{name}: {found[name]:.3f}" for name in found if name.startswith(("train_", "test_"))),
        ]
        return Told({"weights": str(folder / BASE), **found}, lines, hint=unlearning_of(folder, self.given.request))


def check(request: Request) -> Pruning:
    """Check a request to prune: a trained model when ``weights`` are given, else one that is trained first.

    Raises:
        BadInput: anything that can be known to be wrong.
        NotApplicable: the pruner finds nothing in its scope, or files of a data set are not there.
    """
    if request.pruner is None:
        raise BadInput("--pruner is missing; it takes a catalog line, e.g. global_magnitude:sparsity=0.9")
    pruner, rewind = parse("pruners", request.pruner), _rewind(request.rewind)
    if request.mask is not None and request.weights is None:
        raise BadInput("--mask says which weights of a trained model are live, and there is none; give --weights")
    if request.finetune:
        _check_finetune(request, pruner, rewind)
    given = read(request)
    if given.request.compact is not None:
        raise BadInput(f"the model of {given.request.compact} is cut already; prune the whole one, then cut again")
    check_fit(given)
    recipe = given.recipe
    pruner.counts(recipe.fresh(request.seed), probe(given))
    finetune = filled(Recipe, "recipe", {**_settings(recipe), **request.finetune}) if request.finetune else None
    return Pruning(given, pruner, rewind, finetune)


def probe(given: Given) -> Inputs:
    """A few prepared inputs, for those who must run a net to follow it."""
    train = given.parts.train
    return given.recipe.prepare(train.inputs_at(torch.arange(min(PROBE, len(train)))))


def _check_finetune(request: Request, pruner: Pruner, rewind: Rewind) -> None:
    if rewind != "none":
        raise BadInput(
            f"--finetune trains the pruned weights on, but --rewind {rewind} takes them back and repeats the training "
            "of --recipe; give only one of the two"
        )
    if request.weights is None and pruner.scores == "initial":
        raise BadInput(
            f"without --weights, {pruner.name()} prunes the initial weights and --recipe trains what is left, so there "
            "is nothing for --finetune; leave it out, or give --weights"
        )


def _rewind(text: str) -> Rewind:
    return int(text) if text.lstrip("-").isdigit() else text


def _settings(recipe: Recipe) -> Mapping[str, Any]:
    return {f: getattr(recipe, f) for f in recipe.settings()}
