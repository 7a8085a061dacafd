"""The settings of a stretch of training, as one value."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from lacunar.core.errors import BadInput, unknown
from lacunar.machine.precision import PRECISIONS

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda p: 1.0,
    "linear": lambda p: 1.0 - p,
    "cosine": lambda p: 0.5 * (1.0 + math.cos(math.pi * p)),
    "multistep": lambda p: 1.0 if p < 91 / 182 else 0.1 if p < 136 / 182 else 0.01,
}
OPTIMIZERS = ("sgd", "adam", "adamw")
BATCHNORM = ("train", "frozen")


@dataclass(frozen=True)
class Descent:
    """How to descend: optimiser, schedule, precision.

    Attributes:
        epochs: passes over the data, >= 1.
        lr: the peak learning rate; the rate at ``progress`` is lr times warm-up times schedule.
        batch_size: examples per step.
        optimizer: "sgd" (Nesterov off), "adam" or "adamw".
        momentum: of SGD.
        weight_decay: as in torch: added to the gradient by sgd and adam, decoupled in adamw.
        schedule: name in ``SCHEDULES`` or a function of progress in [0, 1); "multistep" is x.1 at 91/182 and 136/182.
        warmup: share of all steps over which the rate rises linearly from 0.
        begin, end: the window of schedule and warm-up that is passed through, each in [0, 1]: at ``progress`` the rate
            is that of begin + (end - begin) progress, so that a short descent can run a whole schedule or any part of
            it. None for ``end`` is begin + 1: the schedule keeps its own pace, and past its end the rate stays.
        clip: largest gradient norm, None for no clipping.
        batchnorm: "train" updates running statistics, "frozen" uses them as they are.
        augment: apply the recipe's augmentation.
        precision: "auto" is bfloat16 autocast where the hardware has it (on a CPU for convolutional nets only), else
            float32.
        compile: run the forward pass through ``torch.compile``.
    """

    epochs: int = 10
    lr: float = 0.01
    batch_size: int = 256
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str | Callable[[float], float] = "constant"
    warmup: float = 0.0
    begin: float = 0.0
    end: float | None = None
    clip: float | None = None
    batchnorm: str = "train"
    augment: bool = True
    precision: str = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1)):
            if getattr(self, name) < least:
                raise BadInput(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("lr", "momentum", "weight_decay", "warmup", "begin"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise BadInput(f"{name} must be a finite number >= 0, got {value}")
        if not self.begin <= (1.0 if self.end is None else self.end) <= 1:
            raise BadInput(
                f"begin and end of a schedule lie in 0 <= begin <= end <= 1, got {self.begin} and {self.end}"
            )
        if self.momentum >= 1 or self.warmup > 1:
            raise BadInput(f"momentum must be < 1 and warmup <= 1, got {self.momentum} and {self.warmup}")
        if self.clip is not None and not self.clip > 0:
            raise BadInput(f"clip must be > 0, or None for no clipping, got {self.clip}")
        for name, choices in (("optimizer", OPTIMIZERS), ("batchnorm", BATCHNORM), ("precision", PRECISIONS)):
            if getattr(self, name) not in choices:
                raise unknown(name, getattr(self, name), choices)
        if isinstance(self.schedule, str) and self.schedule not in SCHEDULES:
            raise unknown("schedule", self.schedule, SCHEDULES)

    @classmethod
    def of(cls, settings: Any, **overrides: Any) -> Self:
        """Take every field that ``settings`` (a method, a recipe, ...) also has; ``overrides`` win."""
        known = {f.name for f in dataclasses.fields(cls)}
        own = {f.name for f in dataclasses.fields(settings)} & known
        return cls(**{**{name: getattr(settings, name) for name in own}, **overrides})

    def rate(self, progress: float) -> float:
        """The learning rate at ``progress`` in [0, 1); never above ``lr``."""
        shape = SCHEDULES[self.schedule] if isinstance(self.schedule, str) else self.schedule
        pace = 1.0 if self.end is None else self.end - self.begin
        at = min(self.begin + pace * progress, 1.0)
        rise = min(1.0, at / self.warmup) if self.warmup > 0 else 1.0
        return self.lr * rise * shape(at)
