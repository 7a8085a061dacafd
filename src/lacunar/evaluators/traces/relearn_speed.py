"""How quickly what was forgotten comes back when the model is trained on it again."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.signals import class_labels, class_logits
from lacunar.auditing.trial import Trial
from lacunar.core.errors import BadInput
from lacunar.core.measurement import Measure, Measurement
from lacunar.data.examples import Source
from lacunar.training.callbacks import Callback, Loop
from lacunar.training.forward import two_sided
from lacunar.training.limits import Limits
from lacunar.training.loop import descend
from lacunar.training.settings import Descent
from lacunar.unlearning.problem import Problem


@dataclass(frozen=True)
class RelearnSpeed(PerTrial):
    """Optimiser steps on the forgotten rows, with the labels they had, until the model fits as many as the original.

    "As many" is ``share`` of what the original fitted. A model that only hides what it knew is back sooner than one
    that never saw it, so the target is the oracles' value. All models get the same batches, order, rate and precision;
    without augmentation, and with BatchNorm's statistics as they are.

    Attributes:
        share: of the original's fit that counts as relearned, in (0, 1].
        lr, batch_size: of plain SGD.
        max_steps: when to give up.
    """

    paper: ClassVar[str] = "relearn time: Golatkar et al., CVPR 2020, arXiv:1911.04933; in steps, for edited rows"
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = "up to max_steps training steps, each with a forward pass over the forgotten examples"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "relearn_speed": Measure(
            "steps on forgotten rows until they are fitted again",
            "[0, inf)",
            "match",
            "steps",
            plain="How soon the deleted examples are known again when trained on",
        )
    }

    share: float = 0.9
    lr: float = 0.01
    batch_size: int = 64
    max_steps: int = 200

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or self.max_steps < 1:
            raise BadInput(f"share lies in (0, 1] and max_steps is >= 1, got {self.share} and {self.max_steps}")

    def one(self, trial: Trial) -> list[Measurement]:
        rows, y = trial.part("forget"), class_labels(trial.part("forget"))
        known = float((class_logits(trial.original(), "forget").argmax(1) == y).double().mean())
        if not known > 0:
            return [self.says("relearn_speed", None, n=len(y), note="the original fitted none of these rows")]
        watch = _Relearned(trial.outcome.problem, self.share * known)
        now = float((class_logits(trial, "forget").argmax(1) == y).double().mean())
        note = f"until {watch.goal:.3f} of the forgotten rows are fitted; {now:.3f} at the start"
        if now >= watch.goal:
            return [self.says("relearn_speed", 0.0, n=len(y), note=note)]
        self._train(trial, rows, watch)
        if watch.reached is None or watch.reached > self.max_steps:
            note = f"not relearned in {self.max_steps} steps, so this is a lower bound; {note}"
            return [self.says("relearn_speed", float(self.max_steps), n=len(y), note=note)]
        return [self.says("relearn_speed", float(watch.reached), n=len(y), note=note)]

    def _train(self, trial: Trial, rows: Source, watch: Callback) -> None:
        epochs = -(-self.max_steps // rows.steps(self.batch_size))
        plain = {"momentum": 0.0, "weight_decay": 0.0, "batchnorm": "frozen", "augment": False, "precision": "float32"}
        how = Descent.of(self, epochs=epochs, **plain)
        problem = trial.outcome.problem
        model = copy.deepcopy(trial.outcome.model).requires_grad_(True)
        inputs = problem.recipe.for_training(trial.seed, augmented=False)
        limits = Limits(mask=trial.outcome.mask)
        with torch.enable_grad():
            descend(model, rows, problem.loss, how, seed=trial.seed, inputs=inputs, limits=limits, callbacks=(watch,))


class _Relearned(Callback):
    def __init__(self, problem: Problem, goal: float) -> None:
        self.problem, self.goal = problem, goal
        self.reached: int | None = None

    def on_step(self, loop: Loop) -> None:
        if self._fit(loop.model) >= self.goal:
            self.reached = loop.step + 1
            loop.stop("relearned")

    def _fit(self, model: nn.Module) -> float:
        z = two_sided(self.problem.recipe.predict(model, self.problem.forget))
        return float((z.argmax(1) == self.problem.forget.y.cpu()).double().mean())
