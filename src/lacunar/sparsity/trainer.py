"""Training sparse models through the store."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from torch import Tensor

from lacunar.catalog.source_code import class_digest, closure, digest_of
from lacunar.core.store import Made, Store
from lacunar.core.weights import model_state
from lacunar.data.examples import Source
from lacunar.sparsity.prune_and_train import Rewind, prune_trained
from lacunar.sparsity.pruner import Pruner
from lacunar.training.recipe import Recipe
from lacunar.training.trainer import Trained, facts, model_with, train, watched


def train_sparse(store: Store, recipe: Recipe, examples: Source, seed: int, pruner: Pruner, rewind: Rewind) -> Trained:
    """The model that is trained dense, pruned and trained again, with its mask; the dense model is shared.

    ``about`` is what pruning and the second training took.
    """
    first = pruner.scores == "initial"

    def make(scratch: Path) -> Made:
        scored = recipe.fresh(seed).to(examples.on) if first else train(store, recipe, examples, seed).model
        back = "init" if first else rewind
        (model, mask), about = watched(
            scratch,
            examples,
            lambda watch, log: prune_trained(scored, recipe, examples, pruner, back, seed, watch=watch, log=log),
        )
        state = {f"model/{name}": t for name, t in model_state(model).items()}
        return {**state, **{f"mask/{name}": t for name, t in mask.items()}}, about

    of = {**facts(recipe, examples, seed), "kind": "sparse model", "pruner": pruner.spec(), "rewind": rewind}
    kept = store.keep({**of, "pruner_code": class_digest(type(pruner)), "sparse_code": sparse_code()}, make)
    mask = {name: t.to(examples.on) for name, t in _part("mask/", kept.tensors).items()}
    return Trained(model_with(recipe, examples, seed, _part("model/", kept.tensors)), mask, kept.about, kept.made)


def _part(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


@cache
def sparse_code() -> str:
    """A hash of the code between a training and its sparse model: masks, rewinding, groups of channels."""
    return digest_of(closure("lacunar.sparsity.prune_and_train", ("lacunar.sparsity",)))
