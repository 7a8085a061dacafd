"""How far published metrics lie from those of retrained models, beside how far retrained models lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from lacunar.auditing.evaluator import Evaluator
from lacunar.auditing.trial import Trial
from lacunar.core import stats
from lacunar.core.measurement import Measure, Measurement
from lacunar.core.rng import numpy_generator
from lacunar.evaluators.attacks.legacy_mia import LegacyMia
from lacunar.evaluators.utility.accuracy import Accuracy

METRICS = {"ua": "gap_ua", "ra": "gap_ra", "ta": "gap_ta", "mia_efficacy_legacy": "gap_mia"}
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Disparity(Evaluator):
    r"""Gaps of UA, RA, TA and the legacy MIA-efficacy to retrained models, and their mean, "disparity".

    A gap is the value minus the mean of the trial's own oracles. One trial: with the t-prediction interval (three or
    more oracles). Several trials: the mean gap, with Student's interval over seeds; with Welch's where all trials share
    their oracles, whose spread counts then. ``average_gap`` is the mean of the four absolute mean gaps, as published;
    ``average_gap_per_seed`` averages the absolute gaps of each seed, with a bootstrap interval over seeds.
    ``average_gap_oracle`` is what one more retraining would score: each oracle against the mean of the others of its
    trial.
    """

    paper: ClassVar[str] = "disparity of arXiv:2304.04934; the oracles' own value beside it is ours"
    needs: ClassVar[frozenset[str]] = frozenset({"oracles"})
    cost: ClassVar[str] = "a forward pass of every model over forgotten, retained and test examples, and its SVMs"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "gap_ua": Measure(
            "ua minus the mean ua of the oracles; target 0",
            "[-100, 100]",
            "match",
            "%",
            plain="Errors on the deleted examples, beyond those of retrained models",
        ),
        "gap_ra": Measure(
            "ra minus the mean ra of the oracles; target 0",
            "[-100, 100]",
            "match",
            "%",
            plain="Accuracy on the retained examples, beyond that of retrained models",
        ),
        "gap_ta": Measure(
            "ta minus the mean ta of the oracles; target 0",
            "[-100, 100]",
            "match",
            "%",
            plain="Accuracy on new examples, beyond that of retrained models",
        ),
        "gap_mia": Measure(
            "mia_efficacy_legacy minus that of the oracles; target 0",
            "[-100, 100]",
            "match",
            "%",
            plain="Deleted examples that an attack of published tables takes for new, beyond those of retrained models",
        ),
        "average_gap": Measure(
            "mean of the four absolute gaps of means",
            "[0, 100]",
            "lower",
            "%",
            plain="How far the model is from retrained ones, over four published numbers",
        ),
        "average_gap_per_seed": Measure(
            "mean over seeds of the mean absolute gap",
            "[0, 100]",
            "lower",
            "%",
            plain="How far the model is from retrained ones, seed by seed",
        ),
        "average_gap_oracle": Measure(
            "mean over oracles of the mean absolute gap to the other oracles",
            "[0, 100]",
            "information",
            "%",
            plain="How far retrained models are from one another",
        ),
    }

    def measure(self, trials: Sequence[Trial]) -> list[Measurement]:
        retrained = {tuple(map(id, trial.oracles)): _table(trial.oracle_trials()) for trial in trials}
        oracles = [retrained[tuple(map(id, trial.oracles))] for trial in trials]
        values = _table(trials)
        gaps = values - np.stack([table.mean(0) for table in oracles])
        per_seed = _average(gaps)
        resampled = None
        if len(per_seed) > 1:
            resampled = stats.bootstrap_interval(per_seed, numpy_generator(trials[0].seed, "average gap"))[1:]
        shared = oracles[0] if len(retrained) == 1 else None
        return [
            *(self._gap(i, gaps, values, shared, len(oracles[0])) for i in range(len(METRICS))),
            self.says("average_gap", float(_average(gaps.mean(0))), n=len(values)),
            self.says("average_gap_per_seed", float(per_seed.mean()), resampled, n=len(values)),
            self._own(list(retrained.values())),
        ]

    def _gap(self, i: int, gaps: Array, values: Array, shared: Array | None, oracles: int) -> Measurement:
        name, gap = list(METRICS.values())[i], float(gaps[:, i].mean())
        if np.isnan(gap):
            return self.says(name, None, note="undefined for a model or for an oracle")
        interval = None
        if shared is None:
            interval = stats.t_interval(gaps[:, i])[1:]
        elif len(values) == 1 and oracles >= 3:
            interval = stats.prediction(float(values[0, i]), shared[:, i])[1:3]
        elif min(len(values), oracles) > 1:
            interval = stats.welch(values[:, i], shared[:, i])[1:3]
        return replace(self.says(name, gap, interval, n=len(values), note=f"{oracles} oracles"), target=0.0)

    def _own(self, groups: Sequence[Array]) -> Measurement:
        k = sum(map(len, groups))
        if min(map(len, groups)) < 2:
            return self.says("average_gap_oracle", None, n=k, note="one oracle has no spread")
        apart = [_average(own - (own.sum(0) - own) / (len(own) - 1)) for own in groups]
        # Oracles of one trial share its draw, so with several trials these are what is independent.
        each = apart[0] if len(groups) == 1 else np.array([one.mean() for one in apart])
        return self.says("average_gap_oracle", float(each.mean()), stats.t_interval(each)[1:], n=k)


def _table(trials: Sequence[Trial]) -> Array:
    rows = []
    for trial in trials:
        found = {m.name: m.value for m in [*Accuracy().one(trial), *LegacyMia().one(trial)]}
        rows.append([np.nan if found[name] is None else found[name] for name in METRICS])
    return np.array(rows, dtype=np.float64)


def _average(gaps: Array) -> Any:
    return np.nanmean(np.abs(gaps), axis=-1)
