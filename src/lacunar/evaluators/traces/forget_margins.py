"""One number per model for what it still knows of the forgotten examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from lacunar.auditing.controls import matched
from lacunar.auditing.evaluator import PerTrial
from lacunar.auditing.signals import class_logits, margins
from lacunar.auditing.trial import Trial
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.measurement import Measure, Measurement


@dataclass(frozen=True)
class ForgetMargins(PerTrial):
    r"""Statistics T of one model over the forgotten examples F, to be compared with retrained oracles.

    With :math:`\phi = \ln(p_y/(1-p_y))` and c(x) the mean of :math:`\phi` over never-seen examples of the class of x
    (given the same wrong label, where x is known to be mislabelled): the mean of :math:`\phi(x)` over F; the mean of
    :math:`\phi(x) - c(x)`, which a shift of the whole model does not move; both again with weights.

    Attributes:
        weights: by id, >= 0, how much each example can tell. Must come from models that are neither the audited one,
            nor its original, nor the oracles it is compared with; see :func:`memorization_weights`.
    """

    paper: ClassVar[str] = "difference in differences of confidence margins; our reading, no single source"
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = "one forward pass over the forgotten and the held-out examples"
    MEASURES: ClassVar[Mapping[str, Measure]] = {
        "residue_mean": Measure(
            "mean of φ over F",
            "(-inf, inf)",
            "match",
            plain="How sure the model is of the deleted examples",
            noun="confidence on the forgotten examples",
        ),
        "residue_did": Measure(
            "mean over F of φ(x) - c(x)",
            "(-inf, inf)",
            "match",
            plain="How much surer it is of the deleted examples than of similar never-seen ones",
            noun="confidence on the forgotten examples, relative to never-seen ones,",
        ),
        "residue_weighted": Measure(
            "sum of w(x) φ(x) over F, weights adding up to 1",
            "(-inf, inf)",
            "match",
            plain="How sure it is of the deleted examples, those that were memorised counting most",
            noun="confidence on the forgotten examples that leave a trace",
        ),
        "residue_weighted_did": Measure(
            "sum of w(x) (φ(x) - c(x)), weights adding up to 1",
            "(-inf, inf)",
            "match",
            plain="How much surer it is of them than of never-seen ones, memorised ones counting most",
            noun="confidence on the forgotten examples that leave a trace, relative to never-seen ones,",
        ),
    }

    weights: dict[int, float] | None = field(default=None, repr=False)

    def one(self, trial: Trial) -> list[Measurement]:
        phi, weights = margins(trial, "forget"), self._weights(trial)
        found = [self.says("residue_mean", float(phi.mean()), n=len(phi))]
        if weights is not None:
            found.append(self.says("residue_weighted", _weighted(phi, weights), n=len(phi)))
        try:
            controls = matched(trial)
        except NotApplicable as why:
            names = ["residue_did"] + ["residue_weighted_did"] * (weights is not None)
            return found + [self.says(name, None, note=str(why)) for name in names]
        over = phi[controls.forget] - controls.expected(class_logits(trial, "held_out"))
        found.append(self.says("residue_did", float(over.mean()), n=len(over), note=controls.note))
        if weights is not None:
            found.append(self.says("residue_weighted_did", _weighted(over, weights[controls.forget]), n=len(over)))
        return found

    def _weights(self, trial: Trial) -> Tensor | None:
        if self.weights is None:
            return None
        ids = trial.part("forget").ids.tolist()
        missing = [i for i in ids if i not in self.weights]
        if missing:
            raise BadInput(f"{len(missing)} forgotten examples have no weight; give one for each of their ids")
        found = torch.tensor([self.weights[i] for i in ids], dtype=torch.float64)
        if not bool((torch.isfinite(found) & (found >= 0)).all()) or not bool(found.any()):
            raise BadInput("the weights of the forgotten examples must be finite numbers >= 0, and not all 0")
        return found


def _weighted(values: Tensor, weights: Tensor) -> float:
    return float((values * weights).sum() / weights.sum())


def memorization_weights(full: Tensor, without: Tensor) -> Tensor:
    r"""Weights of examples by how much training on them shows, ``[n]``, adding up to 1.

    :math:`w_x \propto \max(\bar\phi_{full}(x) - \bar\phi_{without}(x), 0) / (s_x^2 + \mathrm{median}\, s^2)`, s the
    deviation over the models without x.

    Args:
        full: margins of models that were trained on the examples, ``[>= 3, n]``; not the audited original.
        without: margins of models that were not, ``[>= 3, n]``; not the oracles of the audit.

    Raises:
        BadInput: fewer than 3 models of a kind; NotApplicable: no example shows.
    """
    if min(len(full), len(without)) < 3:
        raise BadInput(f"weights need at least 3 models of each kind, got {len(full)} and {len(without)}")
    variance = without.double().var(dim=0)
    gain = (full.double().mean(0) - without.double().mean(0)).clamp(min=0)
    raw = gain / (variance + variance.median()).clamp(min=1e-12)
    if not bool((raw > 0).any()):
        raise NotApplicable("no example is better known to the models that were trained on it")
    return raw / raw.sum()
