"""Asking a judge: whatever it raises becomes its measurement, and every number is one that JSON can hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

from lacunar.auditing.evaluator import Evaluator
from lacunar.auditing.trial import Trial
from lacunar.catalog.source_code import plugin_digest
from lacunar.core.errors import LacunarError, NotApplicable
from lacunar.core.measurement import Measurement
from lacunar.core.store import digest
from lacunar.lab.record import DONE, FAILED, NOT_APPLICABLE, Judgement, Record


def key_of(judge: Evaluator, judged: Sequence[str]) -> str:
    """What the judgement of the records with these keys is known by: a hash of all that was asked, source included."""
    return digest([list(judged), judge.spec(), plugin_digest(judge)])


def judgement(
    judge: Evaluator, records: Sequence[Record], trials: Callable[[], Sequence[Trial]], over_seeds: bool
) -> Judgement:
    """What ``judge`` says of the trials of these records; making the trials may fail as well.

    Args:
        over_seeds: whether the judge asked for all seeds together.
    """
    keys, began = tuple(record.key for record in records), time.perf_counter()
    status, measurements = _asked(judge, trials)
    return Judgement(
        key_of(judge, keys),
        keys,
        tuple(record.weights for record in records),
        judge.line(),
        judge.spec()["settings"],
        plugin_digest(judge),
        over_seeds,
        status,
        tuple(measurements),
        time.perf_counter() - began,
    )


def _asked(judge: Evaluator, trials: Callable[[], Sequence[Trial]]) -> tuple[str, list[Measurement]]:
    try:
        return DONE, [_finite(m) for m in judge.measure(trials())]
    except NotApplicable as error:
        status, why = NOT_APPLICABLE, str(error)
    except Exception as error:  # noqa: BLE001 - a failed measurement is shown, never dropped
        status, why = FAILED, message(error)
    return status, [Measurement(judge.name(), None, direction="information", note=f"{status}: {why}")]


def _finite(m: Measurement) -> Measurement:
    ends: dict[str, Any] = {
        name: None for name in ("value", "low", "high", "target") if not isfinite(getattr(m, name) or 0.0)
    }
    return replace(m, **ends, note=f"{m.note} (not finite: {', '.join(ends)})".strip()) if ends else m


def message(error: Exception) -> str:
    """An error as a sentence; one that nobody raised on purpose begins with its type."""
    return str(error) if isinstance(error, LacunarError) else f"{type(error).__name__}: {error}"
