"""How a model was trained, as a value: so that it can be trained again without the deleted data."""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from lacunar.catalog.plugin import Plugin
from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable, unknown
from lacunar.core.masks import Mask
from lacunar.core.rng import isolated
from lacunar.core.weights import model_state
from lacunar.data.batches import Batch, Inputs, NamedBatches
from lacunar.data.examples import Source
from lacunar.data.ids import Ids, as_ids
from lacunar.training import forward
from lacunar.training.augmentation import AUGMENTATIONS, augment
from lacunar.training.callbacks import Callback
from lacunar.training.limits import Limits
from lacunar.training.log import Log
from lacunar.training.loop import descend
from lacunar.training.settings import Descent
from lacunar.training.turns import TurnBatch
from lacunar.training.watch import Watch

Train = Callable[[nn.Module, Source, int], nn.Module]


@dataclass(frozen=True)
class Recipe:
    """The whole training procedure: architecture, optimisation, input preparation, loss.

    Attributes:
        build: makes a fresh model; called with the global generators seeded.
        epochs, lr, batch_size, optimizer, momentum, weight_decay, schedule, warmup, clip, precision, compile: see
            :class:`~lacunar.training.settings.Descent`.
        augment: "none", "flip", "crop" or "crop_flip" (images only), in training but never in judging.
        normalize: (mean, standard deviation) per channel of inputs in [0, 1], or None. uint8 inputs are divided by 255
            first, always.
        loss: name of a per-example loss in :data:`lacunar.training.forward.LOSSES`.
        train: your own training, ``train(model, examples, seed) -> model``, instead of the built-in one.
    """

    build: Callable[[], nn.Module] | None = None
    epochs: int = 30
    lr: float = 0.1
    batch_size: int = 128
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str | Callable[[float], float] = "cosine"
    warmup: float = 0.0
    clip: float | None = None
    precision: str = "auto"
    compile: bool = False
    augment: str = "none"
    normalize: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    loss: str = "cross_entropy"
    train: Train | None = None

    def __post_init__(self) -> None:
        Descent.of(self)
        forward.loss_named(self.loss)
        if self.augment not in AUGMENTATIONS:
            raise unknown("augmentation", self.augment, AUGMENTATIONS)
        if self.normalize is not None and any(s <= 0 for s in self.normalize[1]):
            raise BadInput(f"the standard deviations of normalize must be > 0, got {self.normalize[1]}")

    def fresh(self, seed: int) -> nn.Module:
        """A new model, its initialisation drawn from the stream (seed, "init").

        Raises:
            NotApplicable: the recipe has no ``build``.
        """
        if self.build is None:
            raise NotApplicable("this recipe cannot make a fresh model: give it build=, a function that returns one")
        with isolated(seed, "init"):
            model = self.build()
        if not isinstance(model, nn.Module):
            raise BadInput(f"build must return a torch.nn.Module, got {type(model).__name__}")
        return model

    def fit(
        self,
        examples: Source,
        seed: int,
        *,
        order_seed: int | None = None,
        skip: Ids | None = None,
        mask: Mask | None = None,
        where: Mask | None = None,
        start: nn.Module | None = None,
        from_epoch: int = 0,
        callbacks: Sequence[Callback] = (),
        watch: Watch | None = None,
        log: Log | None = None,
    ) -> nn.Module:
        """Train from fresh weights (or from a copy of ``start``) and return the model in eval mode.

        Args:
            examples: the training set.
            seed: of the initialisation, and of the order unless ``order_seed`` is given.
            skip: ids that are left out of their batches while all others keep their place (coupled retraining).
            mask: live weights; applied to the initialisation as well.
            where: weights that may move.
            from_epoch: the learning rate starts where it would be after that many epochs; all epochs are trained.
            callbacks: observers of this training.

        Raises:
            NotApplicable: there is no ``build``, or ``train`` is the user's and cannot honour ``skip``, masks, a later
                start of the schedule or observers.
        """
        model = (copy.deepcopy(start) if start is not None else self.fresh(seed)).to(examples.on)
        order = seed if order_seed is None else order_seed
        if self.train is not None:
            if skip is not None or mask is not None or where is not None:
                raise NotApplicable("a recipe with its own train= cannot leave ids out of batches or keep masks")
            if from_epoch or callbacks:
                raise NotApplicable("a recipe with its own train= cannot be watched or start within its schedule")
            with isolated(order, "noise"):
                trained = self.train(model, examples, order)
            if not isinstance(trained, nn.Module):
                raise BadInput(f"train must return the trained torch.nn.Module, got {type(trained).__name__}")
            return trained.eval()
        if mask is not None:
            named.write(model, masks.keep(named.weights(model), mask))
        source = examples if skip is None else _Coupled(examples, as_ids(skip))
        descend(
            model,
            source,
            self.mean_loss,
            Descent.of(self, augment=True, begin=from_epoch / self.epochs),
            seed=order,
            inputs=self.for_training(order),
            limits=Limits(mask=mask, where=where),
            callbacks=callbacks,
            watch=watch,
            log=log,
        )
        return model.eval()

    def prepare(self, x: Inputs) -> Inputs:
        """Raw inputs as the model takes them: uint8 to [0, 1], then normalised. Dicts pass as they are."""
        if isinstance(x, dict):
            return x
        if x.dtype == torch.uint8:
            x = x.float().div_(255.0)
        if self.normalize is not None:
            x = _normalised(x, *self.normalize)
        # clone() restrides images of one channel as well, which contiguous() takes for channels_last as they are.
        return x.clone(memory_format=torch.channels_last) if x.ndim == 4 else x

    def for_training(self, seed: int, augmented: bool = True) -> Callable[[Any], Any]:
        """A function that prepares a batch of the training loop, augmented if the recipe says so."""

        def one(batch: Batch) -> Batch:
            x = batch.x
            if augmented and self.augment != "none":
                if not isinstance(x, Tensor) or x.ndim != 4:
                    raise BadInput(f"augment={self.augment!r} is for images [n, channels, height, width]")
                x = augment(self.augment, x, batch.ids, seed, batch.epoch)
            return replace(batch, x=self.prepare(x))

        def prepared(batch: Any) -> Any:
            if isinstance(batch, NamedBatches):
                return replace(batch, parts={name: one(part) for name, part in batch.parts.items()})
            return replace(batch, batch=prepared(batch.batch)) if isinstance(batch, TurnBatch) else one(batch)

        return prepared

    def losses(self, z: Tensor, y: Tensor) -> Tensor:
        """The recipe's loss per example, ``[n]``."""
        return forward.loss_named(self.loss)(z, y)

    def mean_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The mean loss of ``model`` on a prepared batch."""
        return self.losses(forward.logits(model, batch.x), batch.y).mean()

    def predict(self, model: nn.Module, source: Source, of: Callable[[Tensor, Tensor], Tensor] | None = None) -> Tensor:
        """Logits of all examples, float32 on the CPU, through the same input preparation as in training.

        Args:
            of: what to keep of the logits and the labels of a batch, row by row; None for the logits.
        """
        return forward.predict(model, source, self.prepare, of=of)

    def settings(self) -> dict[str, Any]:
        """All fields as JSON values; functions appear by their import path."""
        return {f.name: _described(getattr(self, f.name)) for f in fields(self)}

    @cached_property
    def _digest(self) -> str:
        parts = {f.name: _identified(getattr(self, f.name)) for f in fields(self)}
        if self.build is not None:
            parts["fresh"] = named.digest(model_state(self.fresh(0)))
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def digest(self) -> str:
        """A hash of the settings, of the source of given functions and of the initial weights for seed 0."""
        return self._digest


@dataclass(frozen=True)
class _Coupled:
    examples: Source
    absent: Tensor

    def __post_init__(self) -> None:
        self.examples.positions(self.absent)

    def epoch_ends(self, size: int, epochs: int) -> list[int]:
        return self.examples.epoch_ends(size, epochs)

    def batches(self, size: int, epochs: int = 1, seed: int | None = None, start: int = 0) -> Any:
        return self.examples.batches(size, epochs, seed, start, left_out=self.absent)

    def digest(self) -> str:
        return hashlib.sha256(self.examples.digest().encode() + self.absent.numpy().tobytes()).hexdigest()


def _normalised(x: Tensor, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    if len(mean) not in (1, x.shape[1]):
        raise BadInput(f"normalize has {len(mean)} channels, the inputs have {x.shape[1]}")
    m, s = (_per_channel(v, x.dtype, x.device, x.ndim) for v in (mean, deviation))
    return (x - m).div_(s)


@lru_cache
def _per_channel(values: tuple[float, ...], dtype: torch.dtype, device: torch.device, ndim: int) -> Tensor:
    # Kept on the device: making it anew for each batch would make the host wait.
    return torch.tensor(values, dtype=dtype, device=device).reshape(1, len(values), *[1] * (ndim - 2))


def _described(value: Any) -> Any:
    if isinstance(value, Plugin):
        return value.spec()
    if callable(value):
        return f"{getattr(value, '__module__', '?')}:{getattr(value, '__qualname__', type(value).__qualname__)}"
    return json.loads(json.dumps(value))


def _identified(value: Any) -> Any:
    if not callable(value) or isinstance(value, Plugin):
        return _described(value)
    try:
        source = inspect.getsource(value)
    except (OSError, TypeError):
        source = ""
    return [_described(value), hashlib.sha256(source.encode()).hexdigest()]
