"""The result of an audit, as values: what was compared with what, and what follows."""

from __future__ import annotations

import math
from abc import ABC
from dataclasses import asdict, dataclass, field
from typing import Any

from lacunar.core.measurement import Measurement

VERDICTS = ("pass", "fail", "inconclusive", "information")


@dataclass(frozen=True)
class Item:
    """One comparison of the unlearned model with retrained oracles.

    Attributes:
        name: of the statistic, with the evaluator's formula, reference and direction beside it.
        verdict: "pass", "fail", "inconclusive", or "information" for items that do not count towards the verdict.
        code: why, as a word: RESIDUE, OVER_FORGOTTEN, UTILITY, UTILITY_OPEN, INVARIANT, NO_ORACLE, NO_POWER,
            CONTROL_BROKEN, RECIPE_MISMATCH, CONFOUNDED, MASKED, TOO_FEW, DUPLICATES, FAILED, or "".
        reason: why, as a sentence.
        mandatory: whether the overall verdict needs it.
        tier: 0 (no oracle needed) or 1.
        value, low, high: the unlearned model's value and its 95 % interval, where one exists.
        oracles: the value of each oracle.
        procedure_on_oracle: the value of each model that went through the same method without having seen the data.
        original: the value before unlearning.
        gap, gap_low, gap_high: value minus the oracles' mean, and the t-prediction interval of it.
        rho, rho_low, rho_high: residual fraction (1 = nothing forgotten, 0 = like a retrain) with interval.
        p: p-value against the oracles, before Holm's correction.
        detectable: the smallest gap that would have been rejected.
        n, k: examples and oracles it rests on.
        plain, noun: what it is in words, see :class:`lacunar.core.measurement.Measure`.
    """

    name: str
    verdict: str = "information"
    code: str = ""
    reason: str = ""
    mandatory: bool = False
    tier: int = 1
    value: float | None = None
    low: float | None = None
    high: float | None = None
    oracles: tuple[float, ...] = ()
    procedure_on_oracle: tuple[float, ...] = ()
    original: float | None = None
    gap: float | None = None
    gap_low: float | None = None
    gap_high: float | None = None
    rho: float | None = None
    rho_low: float | None = None
    rho_high: float | None = None
    p: float | None = None
    detectable: float | None = None
    n: int | None = None
    k: int = 0
    direction: str = "match"
    unit: str = ""
    formula: str = ""
    paper: str = ""
    plain: str = ""
    noun: str = ""


@dataclass(frozen=True)
class Control:
    """A check of the auditor itself: did it behave on a model whose truth is known?

    Attributes:
        name: "original" (must be rejected), "oracle" (each held-out oracle must not be rejected), "recipe" (the
            original must fit retained data as models of the recipe do) or "pseudo requests" (of examples that no
            oracle saw; the oracles must be alike there).
        expected, observed: in words; ok: whether they agree.
    """

    name: str
    expected: str
    observed: str
    ok: bool


@dataclass(frozen=True)
class Evidence(ABC):
    """A verdict with all that a report shows of it; :class:`lacunar.auditing.audit.Audit` is the one that is made.

    Attributes:
        verdict: "pass", "fail" or "inconclusive"; never "proved", "certified" or "compliant".
        tier: 0 (no oracles: never pass) or 1 (oracles; the claim is on average over the forget set).
        claim: what is claimed, in one sentence.
        reason: why, in one sentence.
        settles: what would settle an inconclusive verdict.
        items, controls: the evidence.
        measurements: further numbers (accuracies, attacks, cost) of the unlearned model, failed ones included.
        asked: count, class mix, hash of the ids, exact duplicates left behind; no samples, no raw ids.
        ran: method, every resolved setting, recipe, seeds.
        cost: seconds, steps, examples seen, peak memory, ratio to retraining.
        curves: the numbers behind the plots: margins, losses, ROC, per-class accuracy, training history.
        limits: what this does not prove, sentence by sentence.
        environment: versions, hardware, command, hashes of weights and data.
    """

    verdict: str
    tier: int
    claim: str
    reason: str
    settles: str
    items: tuple[Item, ...]
    controls: tuple[Control, ...]
    measurements: tuple[Measurement, ...]
    asked: dict[str, Any]
    ran: dict[str, Any]
    cost: dict[str, Any]
    curves: dict[str, Any] = field(repr=False)
    limits: tuple[str, ...]
    environment: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The whole audit as JSON values; a number that is not finite (an unbounded interval) becomes None."""
        return {"format": "lacunar-audit-1", **_json(asdict(self))}


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
