"""Made-up audits with the shape of real ones: 60 of 1,200 digits deleted, five oracles; pass, fail, inconclusive."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import starmap
from typing import Any

import numpy as np

from lacunar.auditing.audit import Audit
from lacunar.core.measurement import Measurement
from lacunar.report.evidence import Control, Item

HALF = 3.04  # of the t-prediction interval with five oracles, in standard deviations


def item(name: str, value: float, original: float, oracles: tuple[float, ...], **more: Any) -> Item:
    """One comparison with gap, prediction interval and residual fraction worked out from the values."""
    mean, sd = float(np.mean(oracles)), float(np.std(oracles, ddof=1))
    gap, half, span = value - mean, HALF * sd, original - mean
    return Item(
        name=name,
        value=value,
        original=original,
        oracles=oracles,
        gap=gap,
        gap_low=gap - half,
        gap_high=gap + half,
        rho=gap / span,
        rho_low=(gap - half) / span,
        rho_high=(gap + half) / span,
        detectable=half,
        **{"n": 60, "k": len(oracles), **more},
    )


DID = {
    "mandatory": True,
    "procedure_on_oracle": (0.05, -0.11, 0.02),
}
UTILITY = {
    "mandatory": True,
    "direction": "higher",
    "unit": "%",
    "n": 360,
}
AUC = {"formula": "P(φ of a deleted example > φ of a control)", "paper": "A. Author, 2018", "low": 0.39, "high": 0.55}


def items(did: float, test: float, auc: float) -> tuple[Item, Item, Item]:
    """Residue, utility and the population attack of one unlearned model."""
    return (
        item("residue_did", did, 2.31, (0.062, -0.041, 0.118, -0.087, 0.054), low=did - 0.21, high=did + 0.21, **DID),
        item("ta", test, 94.7, (94.2, 93.6, 94.4, 94.7, 93.9), low=test - 2.6, high=test + 2.1, **UTILITY),
        item("auc_forget_vs_control", auc, 0.741, (0.437, 0.452, 0.429, 0.461, 0.440), **AUC),
    )


def invariant() -> Item:
    return Item(
        "invariants",
        "pass",
        tier=0,
        mandatory=True,
        reason="All 9,610 weights are finite, pruned weights are zero, and the parts of the data share no id.",
        formula="number of broken invariants",
        plain="Promises that were broken",
        value=0,
        direction="lower",
    )


def curves(after_shift: float, seed: int = 0) -> dict[str, Any]:
    """Margins, losses, ROC, accuracies and a training history that agree with each other."""
    rng = np.random.default_rng(seed)
    forget, control = rng.normal(3.4 + after_shift, 2.6, 60), rng.normal(3.5, 2.7, 60)
    others = rng.normal(3.5, 2.7, 400)
    oracles = [rng.normal(3.4, 2.7, 60) for _ in range(5)]
    original = rng.normal(5.8, 1.5, 60)
    accuracy = rng.uniform(88, 99, 10)
    spread = rng.uniform(0.8, 2.5, 10)
    return {
        "margins": {
            "forget": forget.tolist(),
            "control": control.tolist(),
            "oracle_forget": [o.tolist() for o in oracles],
            "original_forget": original.tolist(),
        },
        "losses": {
            "forget": np.log1p(np.exp(-forget)).tolist(),
            "test": np.log1p(np.exp(-rng.normal(3.5, 2.7, 360))).tolist(),
            "oracle_forget": np.log1p(np.exp(-np.concatenate(oracles))).tolist(),
            "original_forget": np.log1p(np.exp(-original)).tolist(),
        },
        "roc": {
            **roc(forget, others),
            "oracles": [roc(o, others) for o in oracles],
            "n_positive": 60,
            "n_negative": 400,
        },
        "per_class": {
            "classes": list(range(10)),
            "before": (accuracy + rng.normal(0.4, 0.6, 10)).tolist(),
            "after": (accuracy + rng.normal(-0.2, 0.9, 10)).tolist(),
            "oracle_mean": accuracy.tolist(),
            "oracle_low": (accuracy - spread).tolist(),
            "oracle_high": (accuracy + spread / 2).tolist(),
        },
        "history": [
            {"descent": 0, "epoch": e, "loss": 0.09 + 0.5 * 0.6**e, "lr": 0.01, "seconds": 0.4} for e in range(5)
        ],
    }


def roc(members: np.ndarray, others: np.ndarray) -> dict[str, list[float]]:
    """All steps of the ROC of "is a member", from the highest score down."""
    cuts = np.unique(np.concatenate([members, others]))[::-1]
    return {"fpr": [float((others >= c).mean()) for c in cuts], "tpr": [float((members >= c).mean()) for c in cuts]}


def digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


ASKED = {
    "count": 60,
    "of": 1200,
    "class_mix": {"0": 7, "1": 5, "2": 8, "3": 6, "4": 4, "5": 9, "6": 5, "7": 3, "8": 7, "9": 6},
    "ids_sha256": digest("ids"),
    "exact_duplicates_left": 0,
    "forgotten_classes": [],
    "corrected": 0,
}
RAN = {
    "method": {
        "name": "l1_sparse",
        "settings": {"epochs": 5, "lr": 0.01, "gamma": 1e-4, "batch_size": 64, "clip": None, "schedule": "cosine"},
    },
    "paper": "Jia et al., Model sparsity can simplify machine unlearning, NeurIPS 2023, arXiv:2304.04934",
    "seed": 0,
    "recipe": {
        "epochs": 30,
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "batch_size": 64,
        "loss": "cross_entropy",
    },
    "oracles": 5,
    "oracle_seeds": [1001, 1002, 1003, 1004, 1005],
    "procedure_on_oracle": 3,
    "notes": ["Images were scaled to [0, 1] before training."],
}
COST = {
    "seconds": 1.84,
    "cpu_seconds": 1.81,
    "steps": 90,
    "examples_seen": 5700,
    "peak_bytes": 412_000_000,
    "retrain_seconds": 12.6,
    "ratio_to_retrain": 1.84 / 12.6,
    "audit_seconds": 98.0,
}
ENVIRONMENT = {
    "command": "lacunar unlearn --model shop.net:build --weights base.safetensors --forget ids.csv --method l1_sparse",
    "python": "3.11.9",
    "torch": "2.13.0",
    "lacunar": "0.1.0",
    "platform": "Linux-6.1-x86_64",
    "cpu": "Intel Xeon, 2 cores",
    "threads": 2,
    "precision": "float32",
    "weights_before_sha256": digest("before"),
    "weights_after_sha256": digest("after"),
    "data_sha256": digest("data"),
    "date": "2026-03-02T14:05:11+00:00",
}
LIMITS = (
    "It was assumed that the operator ran what this page says; a dishonest operator can defeat any such check.",
    "The claim is an average over the deleted examples; single examples may still be recognisable.",
    "Only the attacks listed here were tried; stronger ones may exist or be found.",
    "Nothing is said about copies, backups, logs, or other models made from the same data.",
)
CONTROLS = (
    Control("original", "rejected: it saw the data", "rejected on residue_did (gap 2.29)", True),
    Control("oracle", "none rejected: they never saw the data", "0 of 5 rejected", True),
)
MEASUREMENTS = (
    Measurement("ra", 96.9, 95.8, 97.8, 1140, 97.1, "match", "%"),
    Measurement("ua", 16.7, 8.3, 28.5, 60, 16.0, "match", "%"),
    Measurement("attack_power", 0.612, 0.571, 0.653, 720, None, "information", "", "AUC on held-out members"),
    Measurement("ta_class[3]", 91.4, 76.9, 98.2, 35, 92.0, "match", "%"),
    Measurement("seconds", 1.84, None, None, None, None, "lower", "s"),
)


def passed() -> Audit:
    """Like a retrain in every respect."""
    return Audit(
        verdict="pass",
        tier=1,
        claim="On average over the 60 deleted examples, the model behaves like one that was trained without them.",
        reason="Every mandatory number lies within what five retrained models give, and the audit would have noticed a "
        "model that forgot nothing.",
        settles="",
        items=(*starmap(_found, zip(items(did=0.09, test=94.0, auc=0.449), WITHIN, strict=True)), invariant()),
        controls=CONTROLS,
        measurements=MEASUREMENTS,
        asked=ASKED,
        ran=RAN,
        cost=COST,
        curves=curves(0.1),
        limits=LIMITS,
        environment=ENVIRONMENT,
    )


def _found(one: Item, reason: str) -> Item:
    return replace(one, verdict="pass" if one.mandatory else "information", reason=reason)


WITHIN = (
    "The gap lies within the spread of the oracles, and at most 16 % of the original's memory is left.",
    "Test accuracy is what a retrain gives.",
    "The target is the oracles' value, not 0.5.",
)


def failed() -> Audit:
    """Data still remembered; a control and a measurement went wrong too."""
    did, test, auc = items(did=1.44, test=94.4, auc=0.662)
    return replace(
        passed(),
        verdict="fail",
        claim="On average over the 60 deleted examples, the model still remembers them.",
        reason="The model is more confident on the deleted examples than any model trained without them: 61 % of the "
        "original's memory is left.",
        items=(
            replace(did, verdict="fail", code="RESIDUE", p=0.0004, reason="61 % of the original's memory is left."),
            replace(test, verdict="pass", reason="Test accuracy is what a retrain gives."),
            replace(auc, code="FAILED", value=None, gap=None, reason="The attack stopped: 12 scores are not finite."),
            invariant(),
        ),
        controls=(*CONTROLS[:1], replace(CONTROLS[1], observed="2 of 5 rejected", ok=False)),
        measurements=(
            *MEASUREMENTS,
            Measurement("tpr_at_1_percent_fpr", None, note="the attack found 3 non-members and needs 20"),
        ),
        asked={**ASKED, "exact_duplicates_left": 4},
        curves=curves(1.6),
    )


def inconclusive() -> Audit:
    """No oracles: most comparisons and plots are missing, and a class disappears."""
    bare = [
        replace(
            i,
            **dict.fromkeys(("gap", "gap_low", "gap_high", "rho", "rho_low", "rho_high", "detectable")),
            oracles=(),
            procedure_on_oracle=(),
            k=0,
            tier=0,
            verdict="inconclusive" if i.mandatory else "information",
            code="NO_ORACLE",
            reason="There is no retrained model to compare with.",
        )
        for i in items(did=0.31, test=94.1, auc=0.48)
    ]
    histories = {"margins": {"forget": curves(0.3)["margins"]["forget"]}, "history": []}
    return replace(
        passed(),
        verdict="inconclusive",
        tier=0,
        claim="Whether the 120 deleted examples are forgotten is not known.",
        reason="No retrained model was there to compare with, so no number has a target.",
        settles="Five retrained models would settle it, about 1 min 3 s on this machine: lacunar audit --oracles 5",
        items=(*bare, invariant()),
        controls=(),
        measurements=(),
        asked={**ASKED, "count": 120, "class_mix": {"7": 120}, "forgotten_classes": [7], "corrected": None},
        ran={"method": {"name": "fine_tune", "settings": {}}, "seed": 3, "oracles": 0},
        cost={"seconds": 0.8, "steps": 60},
        curves=histories,
        environment={"lacunar": "0.1.0", "command": None},
    )


ALL = {"pass": passed, "fail": failed, "inconclusive": inconclusive}
