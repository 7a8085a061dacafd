"""How models are made for whoever needs one: trained anew, or once and kept in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from lacunar.catalog.source_code import class_digest, closure, digest_of
from lacunar.core import masks, named
from lacunar.core.store import Made, Store
from lacunar.core.weights import model_state
from lacunar.data.examples import Source
from lacunar.data.ids import Ids, as_ids, ids_digest
from lacunar.machine.meter import metered
from lacunar.machine.precision import resolve_precision
from lacunar.training.architecture import Architecture
from lacunar.training.checkpoint import Checkpoints
from lacunar.training.log import Log
from lacunar.training.recipe import Recipe
from lacunar.training.watch import Watch, Watches

T = TypeVar("T")


@dataclass(frozen=True)
class Trained:
    """A trained model and what it took.

    Attributes:
        model: in eval mode, on the device of the examples.
        mask: its live weights; None when it is dense.
        about: seconds, cpu_seconds, peak_bytes, steps, examples_seen, history and notes of the training.
        made: whether it was trained now, not found in the store.
    """

    model: nn.Module = field(repr=False)
    mask: masks.Mask | None = field(repr=False)
    about: dict[str, Any]
    made: bool


class Trainer(Protocol):
    """How a model is made for anyone who needs one: an original, an oracle, a shadow, a coupled retraining."""

    def __call__(
        self,
        recipe: Recipe,
        examples: Source,
        seed: int,
        mask: masks.Mask | None = None,
        *,
        title: str = "training",
        order_seed: int | None = None,
        skip: Ids | None = None,
    ) -> Trained:
        """The model of this recipe, these examples and this seed.

        Args:
            mask: its live weights; None for a dense model.
            title: what those who watch are told; different trainings that are watched together have different ones.
            order_seed, skip: as in :meth:`~lacunar.training.recipe.Recipe.fit`.
        """


@dataclass(frozen=True)
class PlainTrainer:
    """Trains anew each time it is called.

    Attributes:
        watch: how each training is watched, from its title.
    """

    watch: Watches = lambda title: Watch()

    def __call__(
        self,
        recipe: Recipe,
        examples: Source,
        seed: int,
        mask: masks.Mask | None = None,
        *,
        title: str = "training",
        order_seed: int | None = None,
        skip: Ids | None = None,
    ) -> Trained:
        def fit(watch: Watch, log: Log) -> nn.Module:
            return recipe.fit(examples, seed, order_seed=order_seed, skip=skip, mask=mask, watch=watch, log=log)

        model, about = accounted(self.watch(title), examples, fit)
        return Trained(model, mask, about, made=True)


@dataclass(frozen=True)
class StoreTrainer:
    """Trains each model once, whoever asks for it first; a training that is killed goes on from its last checkpoint.

    Attributes:
        store: where models are kept.
        watch: how each training is watched, from its title; checkpoints are the store's own.
        every_seconds: how often there is one.
    """

    store: Store
    watch: Watches = lambda title: Watch()
    every_seconds: float = 60.0

    def __call__(
        self,
        recipe: Recipe,
        examples: Source,
        seed: int,
        mask: masks.Mask | None = None,
        *,
        title: str = "training",
        order_seed: int | None = None,
        skip: Ids | None = None,
    ) -> Trained:
        def make(scratch: Path) -> Made:
            plain = PlainTrainer(lambda title: self.watch_in(scratch, title))
            made = plain(recipe, examples, seed, mask, title=title, order_seed=order_seed, skip=skip)
            return model_state(made.model), made.about

        kept = self.store.keep(facts(recipe, examples, seed, mask, order_seed, skip), make)
        return Trained(model_with(recipe, examples, seed, kept.tensors), mask, kept.about, kept.made)

    def watch_in(self, scratch: Path, title: str) -> Watch:
        """How a training is watched whose checkpoints lie in ``scratch``."""
        return replace(self.watch(title), checkpoints=Checkpoints(scratch, self.every_seconds))


def accounted(watch: Watch, examples: Source, work: Callable[[Watch, Log], T]) -> tuple[T, dict[str, Any]]:
    """What ``work`` makes, and what it took; see :class:`Trained`."""
    log = Log()
    with metered(examples.on) as meter:
        result = work(watch, log)
    return result, {
        # Of a training that went on after a kill, only the seconds of whole epochs are known.
        "seconds": max(meter.seconds, sum(row["seconds"] for row in log.history)),
        "cpu_seconds": meter.cpu_seconds,
        "peak_bytes": meter.peak_bytes,
        "steps": log.steps,
        "examples_seen": log.examples_seen,
        "history": log.history,
        "notes": log.notes,
    }


@torch.no_grad()
def model_with(recipe: Recipe, examples: Source, seed: int, state: Mapping[str, Tensor]) -> nn.Module:
    model = recipe.fresh(seed).to(examples.on).eval()
    for name, value in model_state(model).items():
        value.copy_(state[name])
    return model


def facts(
    recipe: Recipe,
    examples: Source,
    seed: int,
    mask: Mapping[str, Tensor] | None = None,
    order_seed: int | None = None,
    skip: Ids | None = None,
) -> dict[str, Any]:
    """Everything that a training depends on, as JSON values: the key of its model."""
    precision = resolve_precision(recipe.precision, recipe.fresh(seed), examples.on)
    return {
        "kind": "model",
        "recipe": recipe.digest(),
        "architecture_code": class_digest(type(recipe.build)) if isinstance(recipe.build, Architecture) else "",
        "examples": examples.digest(),
        "seed": seed,
        "order_seed": order_seed,
        "skip": None if skip is None else ids_digest(as_ids(skip)),
        "mask": None if mask is None else named.digest(mask),
        "precision": precision,
        "device": examples.on.type,
        "torch": torch.__version__,
        "code": training_code(),
    }


@cache
def training_code() -> str:
    """A hash of the code of the training loop and all that it uses."""
    return digest_of(closure("lacunar.training.recipe", ("lacunar.core", "lacunar.data", "lacunar.training")))
