"""Requests to make a model sparse and to make it small, checked before anything is computed or written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lacunar.catalog.registry import filled, parse
from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.files import write_json
from lacunar.core.named import Mask
from lacunar.core.weights import load_mask, load_model, save_mask, save_model
from lacunar.data.batches import Inputs
from lacunar.jobs import check
from lacunar.jobs.run_folder import BASE, COMPACT, MASK, PRUNED, Request, file_digest
from lacunar.sparsity.compact import compact
from lacunar.sparsity.prune_and_train import Rewind, prune_trained, train_pruned
from lacunar.sparsity.pruner import Pruner
from lacunar.sparsity.scope import Scope, live_counts
from lacunar.training.recipe import Recipe
from lacunar.training.watch import Watch

PROBE = 8
"""How many training examples a net is followed on, and the outputs of a compacted one are compared on."""


@dataclass(frozen=True, eq=False)
class Pruning:
    """A checked request to prune.

    Attributes:
        request: with every setting resolved.
        training: how and on what a model is trained.
        pruner, rewind, finetune: how it becomes sparse.
        model, mask: a trained model and its live weights; without a model, one is trained first.
        seen: digests of what the request is about.
    """

    request: Request
    training: check.Training
    pruner: Pruner
    rewind: Rewind
    finetune: Recipe | None
    model: nn.Module | None
    mask: Mask | None
    seen: dict[str, str]

    def make(self, watch: Watch) -> tuple[nn.Module, Mask]:
        """The sparse model and its mask."""
        recipe, examples, seed = self.training.recipe, self.training.examples, self.request.seed
        if self.model is None:
            return train_pruned(recipe, examples, self.pruner, self.rewind, seed, finetune=self.finetune, watch=watch)
        return prune_trained(
            self.model.to(examples.on),
            recipe,
            examples,
            self.pruner,
            self.rewind,
            seed,
            within=self.mask,
            finetune=self.finetune,
            watch=watch,
        )

    def save(self, folder: Path, model: nn.Module, mask: Mask) -> None:
        """Write pruned.json, mask.safetensors and, last, base.safetensors."""
        in_scope = {name: mask[name] for name in Scope.of(self.pruner).names(model)}
        facts = {
            "pruner": self.pruner.spec(),
            "rewind": self.rewind,
            "density": {"scope": named.density(in_scope), "net": named.density(mask)},
            "live": live_counts(mask),
            **self.training.scores(model),
        }
        write_json(folder / PRUNED, facts)
        save_mask(folder / MASK, mask)
        save_model(folder / BASE, model)


def pruning(request: Request) -> Pruning:
    """Check a request to prune: a trained model when ``weights`` are given, else one that is trained first.

    Raises:
        BadInput: anything that can be known to be wrong.
        NotApplicable: the pruner finds nothing in its scope, or files of a data set are not there.
    """
    weights, mask = None, None
    if request.weights is not None:
        request = check.after_training(request)
        if request.compact is not None:
            raise BadInput(f"the model of {request.compact} is cut already; prune the whole one, then cut again")
        weights, mask = request.weights, request.mask
    if request.pruner is None:
        raise BadInput("--pruner is missing; it takes a catalog line, e.g. global_magnitude:sparsity=0.9")
    pruner, rewind = parse("pruners", request.pruner), _rewind(request.rewind)
    if request.finetune:
        _check_finetune(request, pruner, rewind)
    if request.mask is not None and weights is None:
        raise BadInput("--mask says which weights of a trained model are live, and there is none; give --weights")
    training = check.training(request)
    recipe, fresh = training.recipe, training.recipe.fresh(request.seed)
    pruner.counts(fresh, _example(training))
    finetune = filled(Recipe, "recipe", {**_settings(recipe), **request.finetune}) if request.finetune else None
    seen = dict(training.seen)
    model = None
    if weights is not None:
        model, seen["weights"] = load_model(weights, fresh).eval(), file_digest(weights)
    live = None if mask is None else _mask_of(fresh, mask)
    return Pruning(training.request, training, pruner, rewind, finetune, model, live, seen)


@dataclass(frozen=True, eq=False)
class Compacting:
    """A checked request to cut dead channels out.

    Attributes:
        request: with every setting resolved.
        model, mask: the sparse model.
        example: prepared inputs.
        seen: digests of what the request is about.
    """

    request: Request
    model: nn.Module
    mask: Mask
    example: Inputs
    seen: dict[str, str]

    def save(self, folder: Path) -> dict[str, Any]:
        """Cut, and write compact.json, perhaps mask.safetensors and, last, base.safetensors; the record is returned."""
        found = compact(self.model, self.mask, self.example)
        write_json(folder / COMPACT, record := found.record())
        if found.mask is not None:
            save_mask(folder / MASK, found.mask)
        save_model(folder / BASE, found.model)
        return record


def compacting(request: Request) -> Compacting:
    """Check a request to cut dead channels out of the model of a folder that ``prune`` wrote.

    Raises:
        BadInput: no such folder, a model that is dense or cut already, files that do not fit together.
    """
    request = check.after_training(request)
    if request.compact is not None:
        raise BadInput(f"the model of {request.compact} is cut already")
    if request.mask is None or request.weights is None:
        raise BadInput("the model is dense: only channels that a pruner has masked can be cut out; see lacunar prune")
    ready = check.training(request)
    model = load_model(request.weights, ready.recipe.fresh(0)).eval()
    seen = {"weights": file_digest(request.weights), "mask": file_digest(request.mask)}
    return Compacting(ready.request, model, _mask_of(model, request.mask), _example(ready), seen)


def _example(training: check.Training) -> Inputs:
    train = training.parts.train
    return training.recipe.prepare(train.inputs_at(torch.arange(min(PROBE, len(train)))))


def _mask_of(model: nn.Module, path: str) -> Mask:
    mask = load_mask(path)
    try:
        named.same_keys(named.parameters(model), mask)
    except BadInput as error:
        raise BadInput(f"the mask {path!r} is of another model than the weights: {error}") from error
    return mask


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
