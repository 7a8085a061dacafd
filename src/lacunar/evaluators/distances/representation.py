"""Whether a model represents the forgotten examples as retrained models do, whatever its last layer says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.trial import Trial
from lacunar.core.errors import NotApplicable
from lacunar.core.measurement import Measure, Measurement
from lacunar.core.rng import generator_of
from lacunar.curvature.last_layer import LastLayer

MOST = 1000


@dataclass(frozen=True)
class Representation(PerTrial):
    r"""Linear CKA of the features before the last layer, on forgotten and as many held-out examples.

    :math:`\mathrm{CKA}(X, Y) = \|Y^\top X\|_F^2 / (\|X^\top X\|_F \|Y^\top Y\|_F)` for centred columns, in [0, 1]; the
    mean over the oracles, an oracle compared with the others, and beside it that to the original. A model whose last
    layer alone was changed keeps the features of its original: near the original and further from retrained models than
    these are from one another.
    """

    paper: ClassVar[str] = "Kornblith et al., ICML 2019, arXiv:1905.00414; of unlearning: Kim et al., arXiv:2503.06991"
    needs: ClassVar[frozenset[str]] = frozenset({"oracles"})
    cost: ClassVar[str] = "one forward pass of every model over at most 2,000 examples"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "cka_to_oracles": Measure(
            "mean linear CKA of last features to the oracles'",
            "[0, 1]",
            "match",
            plain="Whether the model represents the deleted examples as retrained models do",
            noun="the representation of the forgotten examples",
        ),
        "cka_to_original": Measure(
            "linear CKA of last features to the original's",
            "[0, 1]",
            "information",
            plain="How much its inner representation is still that of the original",
        ),
    }

    def one(self, trial: Trial) -> list[Measurement]:
        others = [t for t in trial.oracle_trials() if t.outcome.model is not trial.outcome.model]
        if not others:
            raise NotApplicable("representation needs retrained oracles, and this trial has none to compare with")
        own = _features(trial)
        values = [cka(own, _features(other)) for other in others]
        to_original = cka(own, _features(trial.original()))
        return [
            self.says("cka_to_oracles", sum(values) / len(values), n=len(own), note=f"{len(others)} oracles"),
            self.says("cka_to_original", to_original, n=len(own)),
        ]


def cka(x: Tensor, y: Tensor) -> float:
    """Linear CKA of features ``[n, p]`` and ``[n, q]`` of the same examples, in [0, 1]; NaN where one is constant."""
    a, b = (t.double() - t.double().mean(0) for t in (x, y))
    across = float((b.T @ a).pow(2).sum())
    size = float((a.T @ a).norm()) * float((b.T @ b).norm())
    return min(across / size, 1.0) if size > 0 else float("nan")


def _features(trial: Trial) -> Tensor:
    parts = [trial.part("forget")] + ([trial.part("held_out")] if trial.held_out is not None else [])
    most = min(MOST, len(parts[0]))
    rng = generator_of(trial.seed, "representation")
    found = []
    for part in parts:
        chosen = torch.randperm(len(part), generator=rng)[:most].sort().values
        last = LastLayer.of(trial.outcome.model, trial.outcome.problem.recipe)
        x = last.features(part.take(chosen)).x
        assert isinstance(x, Tensor)
        found.append(x.flatten(1).cpu())
    return torch.cat(found)
