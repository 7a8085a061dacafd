"""Training sparse models through the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from lacunar.catalog.source_code import class_digest, closure, digest_of
from lacunar.core.store import Made
from lacunar.core.weights import model_state
from lacunar.data.examples import Source
from lacunar.sparsity.prune_and_train import Rewind, prune_trained
from lacunar.sparsity.pruner import Pruner
from lacunar.training.recipe import Recipe
from lacunar.training.trainer import StoreTrainer, Trained, accounted, facts, model_with


@dataclass(frozen=True)
class SparseTrainer:
    """Trains dense models, prunes them and trains them again; each is kept with its mask, the dense model is shared.

    ``about`` is what pruning and the second training took. Under a mask that is there already, as that of an oracle,
    a model is trained by ``dense``.

    Attributes:
        dense: makes the dense models; its store keeps the sparse ones as well.
        pruner: finds the mask.
        rewind: see :func:`~lacunar.sparsity.prune_and_train.train_pruned`.
    """

    dense: StoreTrainer
    pruner: Pruner
    rewind: Rewind

    def __call__(self, recipe: Recipe, examples: Source, seed: int, *, title: str = "training") -> Trained:
        pruner, first = self.pruner, self.pruner.scores == "initial"
        back = "init" if first else self.rewind

        def make(scratch: Path) -> Made:
            scored = recipe.fresh(seed).to(examples.on) if first else self.dense(recipe, examples, seed).model
            (model, mask), about = accounted(
                self.dense.watch_in(scratch, title),
                examples,
                lambda watch, log: prune_trained(scored, recipe, examples, pruner, back, seed, watch=watch, log=log),
            )
            state = {f"model/{name}": t for name, t in model_state(model).items()}
            return {**state, **{f"mask/{name}": t for name, t in mask.items()}}, about

        kept = self.dense.store.keep(self._facts(recipe, examples, seed), make)
        mask = {name: t.to(examples.on) for name, t in _part("mask/", kept.tensors).items()}
        return Trained(model_with(recipe, examples, seed, _part("model/", kept.tensors)), mask, kept.about, kept.made)

    def _facts(self, recipe: Recipe, examples: Source, seed: int) -> dict[str, Any]:
        of = {**facts(recipe, examples, seed), "kind": "sparse model", "rewind": self.rewind}
        how = {"pruner": self.pruner.spec(), "pruner_code": class_digest(type(self.pruner))}
        return {**of, **how, "sparse_code": sparse_code()}


def _part(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


@cache
def sparse_code() -> str:
    """A hash of the code between a training and its sparse model: masks, rewinding, groups of channels."""
    return digest_of(closure("lacunar.sparsity.prune_and_train", ("lacunar.sparsity",)))
