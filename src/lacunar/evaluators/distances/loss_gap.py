"""How far the losses of test examples lie from those of retrained models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.trial import Trial
from lacunar.core import stats
from lacunar.core.measurement import Measure, Measurement


@dataclass(frozen=True)
class LossGap(PerTrial):
    """The loss of each test example minus its mean loss under the oracles: mean, mean size, and correlation of the two.

    Retrained models differ from one another as well, so the mean size is not 0 for them: see the oracles' own value.
    """

    paper: ClassVar[str] = "Warnecke et al., Machine Unlearning of Features and Labels, NDSS 2023, arXiv:2108.11577"
    needs: ClassVar[frozenset[str]] = frozenset({"oracles"})
    cost: ClassVar[str] = "one forward pass of every model over the test examples"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "loss_gap": Measure(
            "mean over test of loss minus the oracles' mean loss; target 0",
            "(-inf, inf)",
            "match",
            plain="How much more the model errs on new examples than retrained models do",
        ),
        "loss_gap_size": Measure(
            "mean over test of the absolute difference",
            "[0, inf)",
            "match",
            plain="How differently the model errs on single new examples from retrained models",
        ),
        "loss_correlation": Measure(
            "correlation of the two losses over test",
            "[-1, 1]",
            "higher",
            plain="Whether the model finds the same new examples hard as retrained models do",
        ),
    }

    def one(self, trial: Trial) -> list[Measurement]:
        own = trial.losses("test")
        theirs = torch.stack([oracle.losses("test") for oracle in trial.oracle_trials()]).mean(0)
        if len(own) < 2 or not bool(torch.isfinite(own).all() & torch.isfinite(theirs).all()):
            why = "fewer than two test examples" if len(own) < 2 else "a loss is NaN or infinite"
            return [self.says(name, None, n=len(own), note=why) for name in self.MEASURES]
        gap = (own - theirs).numpy()
        constant = float(own.std()) == 0 or float(theirs.std()) == 0
        together = None if constant else float(np.corrcoef(own.numpy(), theirs.numpy())[0, 1].clip(-1, 1))
        return [
            self.says("loss_gap", float(gap.mean()), stats.t_interval(gap)[1:], n=len(gap)),
            self.says("loss_gap_size", float(np.abs(gap).mean()), n=len(gap)),
            self.says("loss_correlation", together, n=len(gap), note="undefined: all losses are equal" * constant),
        ]
