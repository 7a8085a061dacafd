"""Whether corrected examples are still predicted with their old, wrong labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lacunar.auditing.controls import true_classes
from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.signals import class_labels, class_logits
from lacunar.auditing.trial import Trial
from lacunar.core import stats
from lacunar.core.measurement import Measure, Measurement


@dataclass(frozen=True)
class PoisonFit(PerTrial):
    """Of the examples whose label was corrected: the shares predicted with the wrong and with the right label.

    The target is the oracles' value, not 0 and 1: retrained models confuse classes too. A high ``edit_fit`` can be
    memorized corrections: read test accuracy beside it.
    """

    paper: ClassVar[str] = "Warnecke et al., Machine Unlearning of Features and Labels, NDSS 2023, arXiv:2108.11577"
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = "one forward pass over the forgotten examples"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "poison_fit": Measure(
            "share of relabelled rows predicted with the wrong label they had",
            "[0, 1]",
            "match",
            plain="How often the model still gives the wrong answer that was corrected",
        ),
        "edit_fit": Measure(
            "share of relabelled rows predicted with the corrected label",
            "[0, 1]",
            "match",
            plain="How often the model gives the corrected answer",
        ),
    }

    def one(self, trial: Trial) -> list[Measurement]:
        wrong, right = class_labels(trial.part("forget")), true_classes(trial)
        changed = wrong != right
        if not bool(changed.any()):
            why = "no forgotten example has a corrected label"
            return [self.says(name, None, n=0, note=why) for name in self.MEASURES]
        guess = class_logits(trial, "forget").argmax(1)[changed]
        return [
            self._share("poison_fit", guess == wrong[changed]),
            self._share("edit_fit", guess == right[changed]),
        ]

    def _share(self, name: str, hits: Tensor) -> Measurement:
        rate = stats.clopper_pearson(int(torch.count_nonzero(hits)), len(hits))
        return self.says(name, rate.value, rate[1:], n=len(hits))
