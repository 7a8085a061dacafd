"""How often the model is right: on what was forgotten, on what was retained, and on what it never saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.signals import class_labels, class_logits, without_classes
from lacunar.auditing.trial import Trial
from lacunar.core import stats
from lacunar.core.measurement import Measure, Measurement
from lacunar.training import forward

FEW = 50


@dataclass(frozen=True)
class Accuracy(PerTrial):
    r"""Accuracies in percent with exact intervals; beside each the mean margin and loss, which vary less.

    UA = 100 (1 - acc(F)), RA = 100 acc(R), TA = 100 acc(test without the classes that are forgotten entirely). The
    target is a retrained model's value: under random deletion UA of a perfect unlearner is the test error, not 100.
    What is of no examples is undefined, as RA where every row was corrected.

    Attributes:
        per_class: add the test accuracy of each class, forgotten ones included.
    """

    paper: ClassVar[str] = "Jia et al., Model Sparsity Can Simplify Machine Unlearning, NeurIPS 2023, arXiv:2304.04934"
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = "one forward pass over the forgotten, retained and test examples"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "ua": Measure(
            "100 (1 - share of F classified as labelled)",
            "[0, 100]",
            "match",
            "%",
            plain="Errors on the deleted examples",
        ),
        "ra": Measure(
            "100 × share of R classified as labelled",
            "[0, 100]",
            "match",
            "%",
            plain="Accuracy on the retained examples",
            noun="accuracy on retained examples",
        ),
        "ta": Measure(
            "100 × share of test classified as labelled, forgotten classes left out",
            "[0, 100]",
            "match",
            "%",
            plain="Accuracy on new examples, the use that the model still has",
            noun="accuracy on test examples",
        ),
        "margin_forget": Measure(
            "mean over F of φ = ln(p_y/(1 - p_y))",
            "(-inf, inf)",
            "match",
            plain="How sure the model is of the deleted examples",
        ),
        "margin_retain": Measure(
            "mean over R of φ", "(-inf, inf)", "match", plain="How sure the model is of the retained examples"
        ),
        "margin_test": Measure(
            "mean over test of φ, forgotten classes left out",
            "(-inf, inf)",
            "match",
            plain="How sure the model is of new examples",
        ),
        "loss_forget": Measure(
            "mean over F of -ln p_y", "[0, inf)", "match", plain="How surprised the model is by the deleted examples"
        ),
        "loss_retain": Measure(
            "mean over R of -ln p_y", "[0, inf)", "match", plain="How surprised the model is by the retained examples"
        ),
        "loss_test": Measure(
            "mean over test of -ln p_y, forgotten classes left out",
            "[0, inf)",
            "match",
            plain="How surprised the model is by new examples",
        ),
        "ta_class": Measure(
            "100 × share of the test examples of one class classified as labelled",
            "[0, 100]",
            "match",
            "%",
            plain="Accuracy on new examples of one class",
        ),
    }

    per_class: bool = False

    def one(self, trial: Trial) -> list[Measurement]:
        found = []
        for split, name, wrong in (("forget", "ua", True), ("retain", "ra", False), ("test", "ta", False)):
            z, y, note = _judged(trial, split)
            if len(y) == 0:
                found += [self.says(n, None, note=note) for n in (name, f"margin_{split}", f"loss_{split}")]
                continue
            found.append(self._rate(name, z, y, wrong, note))
            found.append(self.says(f"margin_{split}", float(forward.margin(z, y).mean()), n=len(y), note=note))
            found.append(self.says(f"loss_{split}", float(_losses(z, y).mean()), n=len(y), note=note))
        return found + (self._classes(trial) if self.per_class else [])

    def _rate(self, name: str, z: Tensor, y: Tensor, wrong: bool, note: str, key: object = None) -> Measurement:
        hits = int(((z.argmax(1) == y) != wrong).sum())
        rate = stats.clopper_pearson(hits, len(y))
        few = f"{len(y)} examples: the interval is too wide to tell methods apart, read the margin" * (len(y) <= FEW)
        interval = (100 * rate.low, 100 * rate.high)
        words = "; ".join(w for w in (note, few) if w)
        return self.says(name, 100 * rate.value, interval, key=key, n=len(y), note=words)

    def _classes(self, trial: Trial) -> list[Measurement]:
        z, y = class_logits(trial, "test"), class_labels(trial.test)
        return [
            self._rate("ta_class", z[y == c], y[y == c], False, "", key=int(c)) for c in torch.unique(y, sorted=True)
        ]


def _judged(trial: Trial, split: str) -> tuple[Tensor, Tensor, str]:
    if not trial.part(split):
        return torch.empty(0, 0), torch.empty(0), f"undefined: there are no {split} examples"
    z, y = class_logits(trial, split), class_labels(trial.part(split))
    if split != "test" or not trial.forgotten_classes:
        return z, y, ""
    left = without_classes(z, y, trial.forgotten_classes)
    classes = ", ".join(str(c) for c in trial.forgotten_classes)
    return *left, f"{len(y) - len(left[1])} of {len(y)} test examples left out: forgotten class {classes}"


def _losses(z: Tensor, y: Tensor) -> Tensor:
    return forward.cross_entropy(z.double(), y)
