"""Whether a model treats each forgotten example as retrained models do, not only all of them on average."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.signals import margins
from lacunar.auditing.trial import Trial
from lacunar.core.errors import NotApplicable
from lacunar.core.measurement import Measure, Measurement

FEWEST, PRIOR = 2, 4.0


@dataclass(frozen=True)
class PerExampleZ(PerTrial):
    r"""How far each margin is from what retrained models have for that example, in their own deviations.

    With m and s the mean and deviation of :math:`\phi(x)` over k oracles, shrunk towards the mean variance of all
    examples, :math:`\tilde s_x^2 = (\nu_0 \bar{s^2} + (k-1) s_x^2)/(\nu_0 + k - 1)` with :math:`\nu_0 = 4`:
    :math:`z_x = (\phi(x) - m_x) / (\tilde s_x \sqrt{1 + 1/k})`. The value is :math:`\ln \sqrt{\mathrm{mean}_x z_x^2}`,
    about 0 for one more retrained model. An oracle is compared with the others. A mean can be moved to where retrained
    models have it, by one bias even; to move every example there takes knowing them.
    """

    paper: ClassVar[str] = "ours, after per-example attacks; Carlini et al., 2022, arXiv:2112.03570"
    needs: ClassVar[frozenset[str]] = frozenset({"oracles"})
    cost: ClassVar[str] = "one forward pass of every model over the forgotten examples"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "log_rms_z": Measure(
            "ln of the root mean square over F of z(x)",
            "(-inf, inf)",
            "match",
            plain="Whether each single deleted example is treated as retrained models treat it",
            noun="how each single forgotten example is treated",
        ),
    }

    def one(self, trial: Trial) -> list[Measurement]:
        others = [t for t in trial.oracle_trials() if t.outcome.model is not trial.outcome.model]
        if len(others) < FEWEST:
            raise NotApplicable(f"per_example_z needs at least {FEWEST} retrained oracles besides the model itself")
        z = standardised(margins(trial, "forget"), torch.stack([margins(t, "forget") for t in others]))
        if z is None:
            return [self.says("log_rms_z", None, n=trial.part("forget").y.shape[0], note="the oracles do not differ")]
        rms = math.log(max(float(z.pow(2).mean().sqrt()), 1e-12))
        return [self.says("log_rms_z", rms, n=len(z), note=f"{len(others)} oracles")]


def standardised(phi: Tensor, oracles: Tensor) -> Tensor | None:
    """z of each example, float64 ``[n]``, of margins ``[n]`` against oracles' ``[k, n]``; None if these are equal."""
    k = len(oracles)
    variance = oracles.double().var(0)
    shrunk = (PRIOR * variance.mean() + (k - 1) * variance) / (PRIOR + k - 1)
    if not bool((shrunk > 0).all()):
        return None
    return (phi.double() - oracles.double().mean(0)) / (shrunk.sqrt() * math.sqrt(1 + 1 / k))
