"""How far unlearning moved the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.trial import Trial
from lacunar.core import named
from lacunar.core.measurement import Measure, Measurement
from lacunar.core.named import Named


@dataclass(frozen=True)
class WeightDistance(PerTrial):
    r"""The distance to the original, :math:`\|\theta_u - \theta_o\|_2 / \|\theta_o\|_2`.

    Small says that little was changed, not that little was forgotten.

    Attributes:
        layers: also the same quotient of every weight tensor, as ``weight_distance_layer[name]``.

    Departures from the paper: the distance is to the original, since one to retrained weights means nothing unless they
    start from the same initial weights, and those of an audit do not; ``prop2_error`` retrains from the same ones, and
    ``prop2_floor`` is how far two such retrainings are apart.
    """

    paper: ClassVar[str] = "Golatkar et al., Eternal Sunshine of the Spotless Net, CVPR 2020, arXiv:1911.04933"
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = "one pass over the weights"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "weight_distance": Measure(
            "norm of the weights' change over norm of the original",
            "[0, inf)",
            "information",
            plain="How far the weights moved",
        ),
        "weight_distance_layer": Measure(
            "the same of one weight tensor", "[0, inf)", "information", plain="How far the weights of one layer moved"
        ),
    }

    layers: bool = False

    def one(self, trial: Trial) -> list[Measurement]:
        before = {n: w.cpu() for n, w in named.weights(trial.outcome.problem.model).items()}
        after = {n: w.cpu() for n, w in named.weights(trial.outcome.model).items()}
        parts = [(name, {name: before[name]}, {name: after[name]}) for name in before] if self.layers else []
        return [
            self._of("weight_distance", None, before, after),
            *(self._of("weight_distance_layer", name, one, other) for name, one, other in parts),
        ]

    def _of(self, name: str, key: str | None, before: Named, after: Named) -> Measurement:
        moved, size = named.norm(named.add(after, before, -1.0)), named.norm(before)
        if size == 0 or not math.isfinite(moved):
            why = "the original is zero everywhere" if size == 0 else "the weights hold NaN or infinity"
            return self.says(name, None, key=key, note=why)
        return self.says(name, moved / size, key=key, n=named.count(before))
