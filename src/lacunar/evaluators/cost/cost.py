"""What forgetting took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.trial import Trial
from lacunar.core.errors import BadInput
from lacunar.core.measurement import Measure, Measurement


@dataclass(frozen=True)
class Cost(PerTrial):
    """Time, work and memory of the method's call; training of the original and judging are not in it.

    Attributes:
        retrain_seconds: wall-clock time of one retraining on the same machine with the same precision, if known.
    """

    paper: ClassVar[str] = "run-time efficiency (RTE) of arXiv:2304.04934, with work and memory beside it"
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = "nothing"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "seconds": Measure("wall-clock time of the method", "[0, inf)", "lower", "s", plain="Time to unlearn"),
        "cpu_seconds": Measure(
            "processor time of the method, all threads", "[0, inf)", "lower", "s", plain="Processor time to unlearn"
        ),
        "steps": Measure("optimiser steps", "[0, inf)", "lower", plain="Optimiser steps"),
        "examples_seen": Measure(
            "examples in all batches, both streams of a pair counted", "[0, inf)", "lower", plain="Examples processed"
        ),
        "peak_bytes": Measure("highest memory meanwhile", "[0, inf)", "lower", "bytes", plain="Peak memory"),
        "curvature_products": Measure(
            "products with Hessian or Gauss-Newton matrix",
            "[0, inf)",
            "lower",
            plain="How often the curvature of the loss was looked at",
        ),
        "ratio_to_retrain": Measure(
            "seconds / seconds of one retraining",
            "[0, inf)",
            "lower",
            plain="Time to unlearn, as a share of that of retraining",
        ),
    }

    retrain_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.retrain_seconds is not None and not self.retrain_seconds > 0:
            raise BadInput(f"retrain_seconds must be > 0, got {self.retrain_seconds}")

    def one(self, trial: Trial) -> list[Measurement]:
        outcome = trial.outcome
        peak = outcome.peak_bytes
        products = outcome.facts.get("curvature_products")
        ratio = None if self.retrain_seconds is None else outcome.seconds / self.retrain_seconds
        return [
            self.says("seconds", outcome.seconds),
            self.says("cpu_seconds", outcome.cpu_seconds),
            self.says("steps", float(outcome.steps)),
            self.says("examples_seen", float(outcome.examples_seen)),
            self.says("peak_bytes", peak, note="the system does not tell" * (peak is None)),
            self.says("curvature_products", products, note="the method counts none" * (products is None)),
            self.says("ratio_to_retrain", ratio, note="no retraining was timed" * (ratio is None)),
        ]
