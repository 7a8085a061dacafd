"""The whole prediction on what was forgotten, not the label's share of it alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.signals import class_logits
from lacunar.auditing.trial import Trial
from lacunar.core.measurement import Measure, Measurement
from lacunar.training import forward


@dataclass(frozen=True)
class ClassProfile(PerTrial):
    r"""Does the model spread its predictions on the forgotten examples over the classes as retrained models do?

    For each class c, :math:`\phi_c = \ln(p_c/(1-p_c))` over the forgotten examples is taken as Gaussian under the model
    (u) and under all oracles together (r):
    :math:`\mathrm{KL}_c = \ln(s_r/s_u) + (s_u^2 + (m_u - m_r)^2)/(2 s_r^2) - 1/2`; the value is their mean. An oracle
    is compared with the others. Shares of neighbouring classes betray a forgotten class even where accuracies agree.

    Departures from the paper: log-odds instead of probabilities, which are far from Gaussian.
    """

    paper: ClassVar[str] = "class-unlearning membership inference by neighbouring classes; Gaussian form ours"
    needs: ClassVar[frozenset[str]] = frozenset({"oracles"})
    cost: ClassVar[str] = "one forward pass of every model over the forgotten examples"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "profile_kl": Measure(
            "mean over classes of KL(model ‖ oracles) of ln(p_c/(1-p_c)) over F",
            "[0, inf)",
            "match",
            plain="How differently the model spreads its guesses on the deleted examples",
            noun="the spread of predictions on the forgotten examples over the classes",
        )
    }

    def one(self, trial: Trial) -> list[Measurement]:
        others = [t for t in trial.oracle_trials() if t.outcome.model is not trial.outcome.model]
        if not others:
            return [self.says("profile_kl", None, note="the only oracle has no other one to be compared with")]
        ours = _log_odds(class_logits(trial, "forget"))
        theirs = torch.cat([_log_odds(class_logits(t, "forget")) for t in others])
        if len(ours) < 2 or not bool((ours.std(0) > 0).all() and (theirs.std(0) > 0).all()):
            return [self.says("profile_kl", None, n=len(ours), note="the predictions on F have no spread")]
        ratio = (ours.var(0) + (ours.mean(0) - theirs.mean(0)) ** 2) / (2 * theirs.var(0))
        kl = (theirs.std(0) / ours.std(0)).log() + ratio - 0.5
        return [self.says("profile_kl", float(kl.mean()), n=len(ours), note=f"{len(others)} oracles")]


def _log_odds(z: Tensor) -> Tensor:
    columns = range(z.shape[1])
    return torch.stack([forward.margin(z, torch.full((len(z),), c)) for c in columns], dim=1)
