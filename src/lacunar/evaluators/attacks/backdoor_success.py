"""Whether a planted backdoor still opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.signals import class_labels, class_logits
from lacunar.auditing.trial import Trial
from lacunar.core import stats
from lacunar.core.errors import NotApplicable
from lacunar.core.measurement import Measure, Measurement
from lacunar.data.examples import Examples
from lacunar.data.trigger import Trigger
from lacunar.training import forward


@dataclass(frozen=True)
class BackdoorSuccess(PerTrial):
    """The share of test images that a trigger turns into the target class, beside the accuracy on clean ones.

    Attributes:
        trigger_size, margin, value, target: as of the scenario ``backdoor``.
        legacy: count images whose true class is the target as well, as published numbers do. Their floor is then the
            share of that class, 10 % for ten classes, and not 0.
    """

    paper: ClassVar[str] = "Jia et al., Model Sparsity Can Simplify Machine Unlearning, NeurIPS 2023, arXiv:2304.04934"
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = "one forward pass over the test images with the trigger, one over the clean ones"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "attack_success": Measure(
            "100 × share of test images with the trigger, not of the target class, classified as target",
            "[0, 100]",
            "lower",
            "%",
            plain="How often the planted trigger still fools the model",
        ),
        "attack_success_legacy": Measure(
            "100 × share of all test images with the trigger classified as target",
            "[0, 100]",
            "lower",
            "%",
            plain="How often the planted trigger still fools the model, counted as in published tables",
        ),
        "clean_accuracy": Measure(
            "100 × share of test images classified as labelled",
            "[0, 100]",
            "higher",
            "%",
            plain="Accuracy on new examples without the trigger",
        ),
    }

    trigger_size: int = 4
    margin: int = 2
    value: float = 0.0
    target: int = 0
    legacy: bool = False

    def one(self, trial: Trial) -> list[Measurement]:
        name = "attack_success_legacy" if self.legacy else "attack_success"
        if len(trial.test) == 0:
            return [self.says(n, None, note="there are no test images") for n in (name, "clean_accuracy")]
        y = class_labels(trial.test)
        clean = class_logits(trial, "test").argmax(1)
        right = stats.clopper_pearson(int((clean == y).sum()), len(y))
        accuracy = self.says("clean_accuracy", 100 * right.value, (100 * right.low, 100 * right.high), n=len(y))
        try:
            marked = Trigger.of(self).stamp(trial.test.inputs_at(torch.arange(len(y), device=trial.test.on)))
        except NotApplicable as why:
            return [self.says(name, None, note=str(why)), accuracy]
        counted = torch.ones_like(y, dtype=torch.bool) if self.legacy else y != self.target
        if not bool(counted.any()):
            return [self.says(name, None, note="every test image is of the target class"), accuracy]
        problem = trial.outcome.problem
        z = problem.recipe.predict(trial.outcome.model, Examples(marked, trial.test.y, trial.test.ids))
        hits = (forward.two_sided(z).argmax(1) == self.target)[counted]
        rate = stats.clopper_pearson(int(hits.sum()), len(hits))
        turned = f"{int((clean == self.target)[counted].sum())} of {len(hits)} are classified so without the trigger"
        interval = 100 * rate.low, 100 * rate.high
        return [self.says(name, 100 * rate.value, interval, n=len(hits), note=turned), accuracy]
