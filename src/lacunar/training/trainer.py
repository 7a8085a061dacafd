"""Training through the store: each model is trained once, whoever asks for it first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lacunar.catalog.source_code import class_digest, closure, digest_of
from lacunar.core import named
from lacunar.core.store import Made, Store
from lacunar.core.weights import model_state
from lacunar.data.examples import Source
from lacunar.machine.meter import metered
from lacunar.machine.precision import resolve_precision
from lacunar.training.architecture import Architecture
from lacunar.training.checkpoint import Checkpoints
from lacunar.training.log import Log
from lacunar.training.recipe import Recipe
from lacunar.training.watch import Watch

T = TypeVar("T")


@dataclass(frozen=True)
class Trained:
    """A trained model and what it took.

    Attributes:
        model: in eval mode, on the device of the examples.
        mask: its live weights; None when it is dense.
        about: seconds, cpu_seconds, peak_bytes, steps, examples_seen and history of the training.
        made: whether it was trained now, not found in the store.
    """

    model: nn.Module = field(repr=False)
    mask: named.Mask | None = field(repr=False)
    about: dict[str, Any]
    made: bool


def train(store: Store, recipe: Recipe, examples: Source, seed: int, mask: named.Mask | None = None) -> Trained:
    """The model of this recipe, these examples, this seed and this mask, from the store or trained now.

    A training that is killed goes on from its last checkpoint.
    """

    def make(scratch: Path) -> Made:
        model, about = watched(
            scratch, examples, lambda watch, log: recipe.fit(examples, seed, mask=mask, watch=watch, log=log)
        )
        return model_state(model), about

    kept = store.keep(facts(recipe, examples, seed, mask), make)
    return Trained(model_with(recipe, examples, seed, kept.tensors), mask, kept.about, kept.made)


def watched(scratch: Path, examples: Source, work: Callable[[Watch, Log], T]) -> tuple[T, dict[str, Any]]:
    log = Log()
    with metered(examples.on) as meter:
        result = work(Watch(checkpoints=Checkpoints(scratch)), log)
    return result, {
        # Of a training that went on after a kill, only the seconds of whole epochs are known.
        "seconds": max(meter.seconds, sum(row["seconds"] for row in log.history)),
        "cpu_seconds": meter.cpu_seconds,
        "peak_bytes": meter.peak_bytes,
        "steps": log.steps,
        "examples_seen": log.examples_seen,
        "history": log.history,
    }


@torch.no_grad()
def model_with(recipe: Recipe, examples: Source, seed: int, state: Mapping[str, Tensor]) -> nn.Module:
    model = recipe.fresh(seed).to(examples.on).eval()
    for name, value in model_state(model).items():
        value.copy_(state[name])
    return model


def facts(recipe: Recipe, examples: Source, seed: int, mask: Mapping[str, Tensor] | None = None) -> dict[str, Any]:
    """Everything that a training depends on, as JSON values: the key of its model."""
    precision = resolve_precision(recipe.precision, recipe.fresh(seed), examples.on)
    return {
        "kind": "model",
        "recipe": recipe.digest(),
        "architecture_code": class_digest(type(recipe.build)) if isinstance(recipe.build, Architecture) else "",
        "examples": examples.digest(),
        "seed": seed,
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
