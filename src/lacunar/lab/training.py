"""Training through the store: each model is trained once, whoever asks for it first."""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

import lacunar
from lacunar import named
from lacunar.architecture import Architecture
from lacunar.checkpoint import Checkpoints
from lacunar.data import Source
from lacunar.descent import resolve_precision
from lacunar.lab.store import Made, Store
from lacunar.meter import metered
from lacunar.pruner import Pruner
from lacunar.recipe import Recipe
from lacunar.run import Run
from lacunar.train_pruned import Rewind, prune_trained
from lacunar.weights import model_state

CODE = ("augment", "data", "descend", "descent", "forward", "named", "recipe", "rng", "run", "stream")
"""The modules whose code decides what a training gives."""

SPARSE_CODE = ("channels/*", "pruner", "scope", "train_pruned")
"""The modules whose code decides, beside these and the pruner's own, what pruning and training again gives."""


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
        model, about = _watched(scratch, examples, lambda run: recipe.fit(examples, seed, mask=mask, run=run))
        return model_state(model), about

    kept = store.keep(facts(recipe, examples, seed, mask), make)
    return Trained(_model(recipe, examples, seed, kept.tensors), mask, kept.about, kept.made)


def train_sparse(store: Store, recipe: Recipe, examples: Source, seed: int, pruner: Pruner, rewind: Rewind) -> Trained:
    """The model that is trained dense, pruned and trained again, with its mask; the dense model is shared.

    ``about`` is what pruning and the second training took.
    """
    first = pruner.scores == "initial"

    def make(scratch: Path) -> Made:
        scored = recipe.fresh(seed).to(examples.on) if first else train(store, recipe, examples, seed).model
        back = "init" if first else rewind
        (model, mask), about = _watched(
            scratch, examples, lambda run: prune_trained(scored, recipe, examples, pruner, back, seed, run=run)
        )
        state = {f"model/{name}": t for name, t in model_state(model).items()}
        return {**state, **{f"mask/{name}": t for name, t in mask.items()}}, about

    of = {**facts(recipe, examples, seed), "kind": "sparse model", "pruner": pruner.spec(), "rewind": rewind}
    kept = store.keep({**of, "pruner_code": code(type(pruner)), "sparse_code": sparse_code()}, make)
    mask = {name: t.to(examples.on) for name, t in _part("mask/", kept.tensors).items()}
    return Trained(_model(recipe, examples, seed, _part("model/", kept.tensors)), mask, kept.about, kept.made)


def _part(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


def _watched(scratch: Path, examples: Source, work: Callable[[Run], T]) -> tuple[T, dict[str, Any]]:
    run = Run(checkpoints=Checkpoints(scratch))
    with metered(examples.on) as meter:
        result = work(run)
    return result, {
        # Of a training that went on after a kill, only the seconds of whole epochs are known.
        "seconds": max(meter.seconds, sum(row["seconds"] for row in run.history)),
        "cpu_seconds": meter.cpu_seconds,
        "peak_bytes": meter.peak_bytes,
        "steps": run.steps,
        "examples_seen": run.examples_seen,
        "history": run.history,
    }


@torch.no_grad()
def _model(recipe: Recipe, examples: Source, seed: int, state: Mapping[str, Tensor]) -> nn.Module:
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
        "architecture_code": code(type(recipe.build)) if isinstance(recipe.build, Architecture) else "",
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
    """A hash of the code of the training loop and all that it uses; comments and layout do not count."""
    return _hash(CODE)


@cache
def sparse_code() -> str:
    """A hash of the code between a training and its sparse model: masks, rewinding, groups of channels."""
    return _hash(SPARSE_CODE)


@cache
def code(cls: type) -> str:
    """A hash of the code of the file that defines ``cls``."""
    return hashlib.sha256(_program(Path(inspect.getfile(cls))).encode()).hexdigest()


def _hash(modules: Sequence[str]) -> str:
    folder = Path(lacunar.__file__).parent
    files = [path for name in modules for path in sorted(folder.glob(f"{name}.py"))]
    return hashlib.sha256("".join(_program(path) for path in files).encode()).hexdigest()


def _program(path: Path) -> str:
    return ast.dump(ast.parse(path.read_text(encoding="utf-8")))
