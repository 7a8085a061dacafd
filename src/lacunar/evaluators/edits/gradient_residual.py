"""How far the unlearned model is from being trained on the edited data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lacunar.auditing.evaluator import Evaluator
from lacunar.auditing.trial import Trial
from lacunar.core import named
from lacunar.core.measurement import Measure, Measurement
from lacunar.curvature.edit_gradient import full_gradient
from lacunar.curvature.objective import Objective


@dataclass(frozen=True)
class GradientResidual(Evaluator):
    r"""The gradient norm :math:`\|\nabla L(\theta_u; D')\|_2` on retained and corrected rows, penalty included.

    In the scale of the sum, over live weights, in eval mode: the norm and not its square. For a convex loss it bounds
    the distance to the retrained weights; for deep nets it only says how far training would still go. Of several
    trials the largest and two quantiles are said, since a mean certifies nothing.
    """

    paper: ClassVar[str] = (
        "Guo et al., Certified Data Removal from Machine Learning Models, ICML 2020, arXiv:1911.03030"
    )
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = "one gradient over retained and corrected examples"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "gradient_residual": Measure(
            "norm of the gradient of the summed loss on the edited data",
            "[0, inf)",
            "lower",
            plain="How far training on the corrected data would still move the model",
        ),
        "gradient_residual_max": Measure(
            "largest over trials",
            "[0, inf)",
            "lower",
            plain="How far training on the corrected data would still move the worst of several models",
        ),
        "gradient_residual_median": Measure(
            "median over trials",
            "[0, inf)",
            "lower",
            plain="How far training on the corrected data would still move the middle one of several models",
        ),
        "gradient_residual_q90": Measure(
            "90 % quantile over trials",
            "[0, inf)",
            "lower",
            plain="How far training on the corrected data would still move nine of ten models at most",
        ),
    }

    def measure(self, trials: Sequence[Trial]) -> list[Measurement]:
        values = [_residual(trial) for trial in trials]
        if len(values) == 1:
            return [self._said("gradient_residual", values[0], len(trials[0].outcome.problem.edited))]
        spread = {"max": np.max(values), "median": np.median(values), "q90": np.quantile(values, 0.9)}
        return [self._said(f"gradient_residual_{name}", float(value), len(values)) for name, value in spread.items()]

    def _said(self, name: str, value: float, n: int) -> Measurement:
        finite = math.isfinite(value)
        note = "" if finite else "the gradient is NaN or infinite: the model has diverged"
        return self.says(name, value if finite else None, n=n, note=note)


def _residual(trial: Trial) -> float:
    outcome, problem = trial.outcome, trial.outcome.problem
    objective = Objective.of(outcome.model, problem.edited, problem.recipe, outcome.mask)
    return named.norm(full_gradient(objective))
