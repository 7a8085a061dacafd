"""The statistics that a verdict of tier 1 rests on: which are asked for, and to which side they show a difference."""

from __future__ import annotations

from collections.abc import Sequence

from lacunar.auditing.trial import Trial
from lacunar.report.evidence import Item

AVERAGES = ("clipped_did", "clipped_mean", "auc_forget_vs_control", "residue_weighted")
"""Averages over the forgotten examples: one of them must have the power to see the original, and bound what is left."""

OF_CLASSES = ("profile_kl", "cka_to_oracles")
"""Asked for where a class is forgotten: a shift of the last layer moves every average, and none of these."""

SINGLE = "log_rms_z"
BEYOND_A_MEAN = (SINGLE, "auc_forget_vs_control")
"""What a shift of all margins together does not bring to where retrained models have it."""

TAILS = {"log_rms_z": 1, "profile_kl": 1, "cka_to_oracles": -1}
"""Statistics of which only larger (1) or only smaller (-1) values than the oracles' tell a model from them."""

UTILITY = ("ra", "ta")
CLASS_SHARE = 0.5


def traces(items: Sequence[Item], trial: Trial) -> list[str]:
    """The names of the traces that are mandatory for this request.

    Where controls exist, the difference in differences and the AUC against them; where a class is forgotten, or no
    control exists, the mean. Single examples always; the statistics of classes where the request is of classes.
    """
    if not trial.oracles:
        return ["residue_mean"]
    known = {item.name for item in items if item.value is not None}
    names: list[str] = [name for name in ("clipped_did", "auc_forget_vs_control") if name in known]
    if trial.forgotten_classes or not names:
        names.append("clipped_mean")
    names.append(SINGLE)
    if trial.forgotten_classes:
        names += OF_CLASSES
    return names + ["residue_weighted"] * ("residue_weighted" in known)


def utility(trial: Trial) -> tuple[str, ...]:
    """The names of the accuracies that are mandatory: of an edit of every row, none is retained as it was."""
    return UTILITY if len(trial.outcome.problem.retain) else tuple(name for name in UTILITY if name != "ra")
