"""How sure a model is of the forgotten examples, without the tails that a few extreme margins make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lacunar.auditing.controls import matched
from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.signals import class_labels, class_logits, margins
from lacunar.auditing.trial import Trial
from lacunar.core.errors import NotApplicable
from lacunar.core.measurement import Measure, Measurement
from lacunar.training import forward

TAIL = 0.01


@dataclass(frozen=True)
class ClippedMargin(PerTrial):
    r"""The mean of clipped :math:`\phi` over the forgotten examples F, and of clipped :math:`\phi(x) - c(x)`.

    :math:`\phi = \ln(p_y/(1-p_y))` has no bound, and in nets that overfit its scale differs from one training to the
    next, so that a few examples can make or hide a difference. It is clipped to the range between the 1 % and the 99 %
    quantile of the margins of all oracles on F and on held-out examples; c(x), the mean over never-seen examples of the
    class of x (given the same wrong label, where x is known to be mislabelled), is of clipped margins too.
    """

    paper: ClassVar[str] = "difference in differences of confidence margins; clipping ours"
    needs: ClassVar[frozenset[str]] = frozenset({"held_out", "oracles"})
    cost: ClassVar[str] = "one forward pass of every model over the forgotten and the held-out examples"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "clipped_mean": Measure(
            "mean of φ over F, φ clipped to the oracles' 1-99 % range",
            "(-inf, inf)",
            "match",
            plain="How sure the model is of the deleted examples, extremes cut",
            noun="confidence on the forgotten examples",
        ),
        "clipped_did": Measure(
            "mean over F of φ(x) - c(x), φ clipped likewise",
            "(-inf, inf)",
            "match",
            plain="How much surer it is of them than of similar never-seen ones, extremes cut",
            noun="confidence on the forgotten examples, relative to never-seen ones,",
        ),
    }

    def one(self, trial: Trial) -> list[Measurement]:
        low, high = _range(trial)
        phi = margins(trial, "forget").clamp(low, high)
        found = [self.says("clipped_mean", float(phi.mean()), n=len(phi), note=f"clipped to {low:.2f} .. {high:.2f}")]
        try:
            controls = matched(trial)
        except NotApplicable as why:
            return [*found, self.says("clipped_did", None, note=str(why))]
        expected = controls.expected(class_logits(trial, "held_out"), lambda values: values.clamp(low, high))
        over = phi[controls.forget] - expected
        return [*found, self.says("clipped_did", float(over.mean()), n=len(over), note=controls.note)]


def _range(trial: Trial) -> tuple[float, float]:
    """The 1 % and the 99 % quantile of the oracles' margins on F and on held-out examples."""
    pooled = torch.cat([_both(oracle) for oracle in trial.oracle_trials()])
    low, high = torch.quantile(pooled[torch.isfinite(pooled)], torch.tensor([TAIL, 1 - TAIL]).double())
    return float(low), float(high)


def _both(trial: Trial) -> Tensor:
    held_out = forward.margin(class_logits(trial, "held_out"), class_labels(trial.part("held_out")))
    return torch.cat([margins(trial, "forget"), held_out])
