"""How much of the accuracy that wrong data had cost is back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.signals import accuracy, class_labels, class_logits, without_classes
from lacunar.auditing.trial import Trial
from lacunar.core.measurement import Measure, Measurement

LEAST_GAP = 0.01


@dataclass(frozen=True)
class AccuracyRestored(PerTrial):
    r"""The share of the gap in test accuracy between the original and clean models that the unlearned model closes.

    :math:`(a_u - a_o)/(a_c - a_o)`: a of the unlearned model, of the original trained on the wrong data, and the mean
    of the oracles trained on the right data. Undefined where the wrong data cost less than one point. Denominators
    differ from seed to seed: average the accuracies too, not only these.
    """

    paper: ClassVar[str] = "Warnecke et al., Machine Unlearning of Features and Labels, NDSS 2023, arXiv:2108.11577"
    needs: ClassVar[frozenset[str]] = frozenset({"oracles"})
    cost: ClassVar[str] = "one forward pass of every model over the test examples"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "accuracy_restored": Measure(
            "(test accuracy after - before) / (oracles' mean - before); target 1",
            "(-inf, inf)",
            "higher",
            plain="How much of the accuracy that wrong data had cost is back",
        )
    }

    def one(self, trial: Trial) -> list[Measurement]:
        after, before = _accuracy(trial), _accuracy(trial.original())
        clean = sum(_accuracy(oracle) for oracle in trial.oracle_trials()) / len(trial.oracles)
        note = f"before {before:.4f}, after {after:.4f}, clean {clean:.4f}"
        if not clean - before >= LEAST_GAP:
            why = f"undefined: the wrong data cost less than {LEAST_GAP:g} of accuracy"
            return [self.says("accuracy_restored", None, n=len(trial.test), note=f"{why}; {note}")]
        return [self.says("accuracy_restored", (after - before) / (clean - before), n=len(trial.test), note=note)]


def _accuracy(trial: Trial) -> float:
    return accuracy(*without_classes(class_logits(trial, "test"), class_labels(trial.test), trial.forgotten_classes))
