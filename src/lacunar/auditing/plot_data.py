"""The numbers behind the plots of a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from sklearn.metrics import roc_curve
from torch import Tensor

from lacunar.auditing.comparison import Panel
from lacunar.auditing.controls import matched
from lacunar.auditing.signals import class_labels, class_logits, margins
from lacunar.auditing.trial import Trial
from lacunar.catalog import registry
from lacunar.core.errors import LacunarError
from lacunar.core.rng import generator_of
from lacunar.training import forward

MOST = 2000


def curves(panel: Panel) -> dict[str, Any]:
    """Margins, losses, ROC, test accuracy per class and training history; lists of more than 2,000 are subsampled.

    A curve that cannot be drawn (a forgotten class has no controls, a model gives NaN) is left empty.
    """
    parts: dict[str, Callable[[Panel], Any]] = {
        "margins": _margins,
        "losses": _losses,
        "roc": _roc,
        "per_class": _per_class,
    }
    found = {name: _or_empty(draw, panel) for name, draw in parts.items()}
    return found | {"history": [dict(row) for row in panel.unlearned.outcome.history]}


def _or_empty(draw: Callable[[Panel], Any], panel: Panel) -> Any:
    try:
        return draw(panel)
    except LacunarError:
        return {}


def _margins(panel: Panel) -> dict[str, Any]:
    keep = _sampler(panel.unlearned.seed)
    return {
        "forget": keep(margins(panel.unlearned, "forget")),
        "control": keep(_controls(panel.unlearned)),
        "oracle_forget": [keep(margins(t, "forget")) for t in panel.oracles],
        "original_forget": keep(margins(panel.original, "forget")),
    }


def _controls(trial: Trial) -> Tensor:
    """The margins of the controls that the AUC is made with; none where a class is forgotten."""
    try:
        place, labels = matched(trial).draw(trial.seed)
    except LacunarError:
        return torch.zeros(0)
    return forward.margin(class_logits(trial, "held_out")[place], labels)


def _losses(panel: Panel) -> dict[str, Any]:
    keep = _sampler(panel.unlearned.seed)

    def of(trial: Trial, split: str) -> Tensor:
        return forward.cross_entropy(class_logits(trial, split).double(), class_labels(trial.part(split)))

    pooled = [of(t, "forget") for t in panel.oracles]
    return {
        "forget": keep(of(panel.unlearned, "forget")),
        "test": keep(of(panel.unlearned, "test")),
        "oracle_forget": keep(torch.cat(pooled)) if pooled else [],
        "original_forget": keep(of(panel.original, "forget")),
    }


def _roc(panel: Panel) -> dict[str, Any]:
    ours = _points(panel.unlearned)
    return ours | {"oracles": [{k: v for k, v in _points(t).items() if k in ("fpr", "tpr")} for t in panel.oracles]}


def _points(trial: Trial) -> dict[str, Any]:
    found = matched(trial)
    inside, outside = margins(trial, "forget")[found.forget], _controls(trial)
    truth = torch.cat([torch.ones(len(inside)), torch.zeros(len(outside))])
    fpr, tpr, _ = roc_curve(truth.numpy(), torch.cat([inside, outside]).numpy())
    thin = torch.linspace(0, len(fpr) - 1, min(len(fpr), MOST)).long().numpy()
    return {
        "fpr": [round(float(v), 6) for v in fpr[thin]],
        "tpr": [round(float(v), 6) for v in tpr[thin]],
        "n_positive": len(inside),
        "n_negative": len(outside),
    }


def _per_class(panel: Panel) -> dict[str, Any]:
    after, before = _by_class(panel.unlearned), _by_class(panel.original)
    oracles = [_by_class(t) for t in panel.oracles]

    def over(summary: Callable[[Sequence[float]], float]) -> list[float | None]:
        return [round(summary([o[c] for o in oracles]), 3) if oracles else None for c in after]

    return {
        "classes": [int(c) for c in after],
        "before": [round(before[c], 3) for c in after],
        "after": [round(after[c], 3) for c in after],
        "oracle_mean": over(lambda v: sum(v) / len(v)),
        "oracle_low": over(min),
        "oracle_high": over(max),
    }


def _by_class(trial: Trial) -> dict[str, float]:
    found = {
        m.name: m.value
        for m in registry.parse("evaluators", "accuracy:per_class=true").measure([trial])
        if m.name.startswith("ta_class")
    }
    return {name[len("ta_class[") : -1]: value for name, value in found.items() if value is not None}


def _sampler(seed: int) -> Callable[[Tensor], list[float]]:
    def keep(values: Tensor) -> list[float]:
        finite = values[torch.isfinite(values)]
        if len(finite) > MOST:
            chosen = torch.randperm(len(finite), generator=generator_of(seed, "curves"))[:MOST]
            finite = finite[chosen.sort().values]
        return [round(v, 4) for v in finite.tolist()]

    return keep
