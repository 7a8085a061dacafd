"""From records to what a table says: means over seeds with intervals, gaps to the oracle, the oracle's own spread."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TypeAlias

from lacunar.core import stats
from lacunar.core.measurement import Measurement
from lacunar.lab.cell import ORACLE
from lacunar.lab.record import DONE, Record
from lacunar.lab.results import latest

FEWEST = 3
"""Seeds that a mean needs."""

Values: TypeAlias = dict[str, float]
"""Measurement name -> value."""


@dataclass(frozen=True)
class Estimate:
    """One value per seed, and from 3 seeds on their mean with Student's 95 % interval.

    What a judge said of all seeds together is its value, with the judge's own interval.
    """

    values: tuple[float, ...] = ()
    mean: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, values: Iterable[float]) -> Estimate:
        """The estimate from these values."""
        listed = tuple(values)
        return cls(listed, *stats.t_interval(listed)) if len(listed) >= FEWEST else cls(listed)

    @classmethod
    def said(cls, m: Measurement) -> Estimate:
        """What a judge said of all seeds together."""
        return cls() if m.value is None else cls((m.value,), m.value, m.low, m.high)


@dataclass(frozen=True)
class Row:
    """A method over all seeds of one comparison; for the oracle, the retrained models themselves.

    Attributes:
        method: its line.
        values: per measurement.
        gaps: value minus the mean of the oracles of the same seed; for the oracle empty, since they add up to 0.
        beyond: measurements whose mean gap exceeds ``Comparison.band``.
        disparity: mean of the absolute gaps of a seed over the measurements of ``Comparison.disparity``; for the oracle
            each retrained model against the others of its seed.
        seconds: of the method's call; for the oracle, of a training.
        ratio: time / mean time of the oracles of the same seed: processor time on a CPU, where the load of the machine
            changes the seconds, and wall-clock time on an accelerator.
        troubles: how often it failed or did not apply, and why.
    """

    method: str
    values: dict[str, Estimate] = field(default_factory=dict)
    gaps: dict[str, Estimate] = field(default_factory=dict)
    beyond: frozenset[str] = frozenset()
    disparity: Estimate = field(default_factory=Estimate)
    seconds: Estimate = field(default_factory=Estimate)
    ratio: Estimate = field(default_factory=Estimate)
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All methods on one posed problem: data, model, pruner, scenario.

    Attributes:
        columns: measurements, in the order in which they are shown; units: theirs.
        undefined: measurements that were asked for and that no model has, and why.
        disparity: the measurements that the disparity averages.
        seeds: all seeds; oracles: retrained models per seed; forgotten: how many examples, per seed.
        deviation: per measurement, the standard deviation of retrained models, pooled over seeds.
        band: per measurement, how far the mean gap of one more retrained model per seed would stray, with 95 %
            probability: :math:`t_{n(K-1)} \\, s \\sqrt{(1 + 1/K)/n}` for n seeds and K oracles.
        oracle, rows: the oracle's own row, and those of the methods.
    """

    dataset: str
    model: str
    pruner: str
    scenario: str
    columns: tuple[str, ...]
    undefined: dict[str, str]
    units: dict[str, str]
    disparity: tuple[str, ...]
    seeds: tuple[int, ...]
    oracles: int
    forgotten: tuple[int, ...]
    deviation: dict[str, float]
    band: dict[str, float]
    oracle: Row
    rows: tuple[Row, ...]


def comparable(records: Sequence[Record]) -> tuple[list[Record], int]:
    """The last record of each cell under the protocol of the last record, and how many are left out for another one."""
    last = list(latest(records).values())
    kept = [record for record in last if record.protocol == records[-1].protocol]
    return kept, len(last) - len(kept)


def compare(records: Sequence[Record], columns: Sequence[str] = (), disparity: Sequence[str] = ()) -> list[Comparison]:
    """One comparison per data set, model, pruner and scenario, in alphabetical order.

    Args:
        records: of one protocol; see :func:`comparable`. Of several of one method, seed and oracle the last counts: a
            method that gained a setting has another key under the same line, and is no further seed.
        columns: measurements to show; empty for all that have a value.
        disparity: measurements to average the absolute gaps of; empty for the shown ones in percent.
    """
    groups: dict[tuple[str, str, str, str], list[Record]] = defaultdict(list)
    last = {(r.dataset, r.model, r.pruner, r.scenario, r.method, r.seed, r.oracle): r for r in records}
    for record in last.values():
        groups[record.dataset, record.model, record.pruner, record.scenario].append(record)
    # Workers go through the methods of a case in order, so this is the order of the experiment whoever was faster.
    order = [name for name in dict.fromkeys(record.method for record in records) if name != ORACLE]
    return [_comparison(names, groups[names], order, columns, disparity) for names in sorted(groups)]


def _comparison(
    names: tuple[str, str, str, str],
    records: list[Record],
    order: Sequence[str],
    columns: Sequence[str],
    disparity: Sequence[str],
) -> Comparison:
    done = [record for record in records if record.status == DONE]
    single = {m.name: m.unit for record in done for m in record.measurements if m.value is not None}
    units = single | {m.name: m.unit for record in done for m in record.over_seeds if m.value is not None}
    shown = tuple(name for name in columns or units if name in units)
    averaged = tuple(disparity) or tuple(name for name in shown if single.get(name) == "%")
    retrained = {
        seed: [r for r in done if r.method == ORACLE and r.seed == seed] for seed in sorted({r.seed for r in records})
    }
    deviation, band = _spread({seed: [_values(r) for r in group] for seed, group in retrained.items()}, shown)
    mine = {name: group for name in order if (group := [r for r in records if r.method == name])}
    forgotten = {r.seed: int(r.forgotten["count"]) for r in done}
    return Comparison(
        *names,
        columns=shown,
        undefined={name: _why(name, records) for name in columns if name not in units},
        units={name: units[name] for name in shown},
        disparity=averaged,
        seeds=tuple(retrained),
        oracles=max(map(len, retrained.values())),
        forgotten=tuple(forgotten[seed] for seed in sorted(forgotten)),
        deviation=deviation,
        band=band,
        oracle=_oracle_row(retrained, shown, averaged),
        rows=tuple(_row(name, group, retrained, shown, averaged, band) for name, group in mine.items()),
    )


def _why(name: str, records: Sequence[Record]) -> str:
    said = (m.note for record in records for m in (*record.measurements, *record.over_seeds) if m.name == name)
    return next(said, "no judge measures it")


def _values(record: Record) -> Values:
    return {m.name: m.value for m in record.measurements if m.value is not None}


def _estimates(records: Sequence[Record], shown: Sequence[str]) -> dict[str, Estimate]:
    """Of each measurement the values of these seeds, or what was said of all of them together."""
    found, joint = [_values(r) for r in records], {m.name: m for r in records for m in r.over_seeds}
    return {
        name: Estimate.said(joint[name]) if name in joint else Estimate.of(v[name] for v in found if name in v)
        for name in shown
    }


def _mean(group: Sequence[Record]) -> Values:
    """The mean of each measurement that all records of the group have."""
    if not group:
        return {}
    parts = [_values(record) for record in group]
    return {name: fmean(part[name] for part in parts) for name in parts[0] if all(name in part for part in parts)}


def _gaps(record: Record, oracles: Sequence[Record]) -> Values:
    value, target = _values(record), _mean(oracles)
    return {name: value[name] - target[name] for name in value if name in target}


def _disparity(gaps: Values, averaged: Sequence[str]) -> list[float]:
    whole = bool(averaged) and all(name in gaps for name in averaged)
    return [fmean(abs(gaps[name]) for name in averaged)] if whole else []


def _row(
    method: str,
    records: list[Record],
    retrained: Mapping[int, list[Record]],
    shown: Sequence[str],
    averaged: Sequence[str],
    band: Mapping[str, float],
) -> Row:
    done = sorted((r for r in records if r.status == DONE), key=lambda r: r.seed)
    gaps = [_gaps(r, retrained[r.seed]) for r in done]
    estimates = {name: Estimate.of(g[name] for g in gaps if name in g) for name in shown}
    beyond = {n for n, gap in estimates.items() if gap.mean is not None and n in band and abs(gap.mean) > band[n]}
    return Row(
        method,
        _estimates(done, shown),
        estimates,
        frozenset(beyond),
        Estimate.of(d for g in gaps for d in _disparity(g, averaged)),
        Estimate.of(r.seconds for r in done if r.seconds is not None),
        Estimate.of(ratio for r in done for ratio in _ratio(r, retrained[r.seed])),
        tuple(f"seed {r.seed}: {r.status}: {r.message}" for r in records if r.status != DONE),
    )


def _time(record: Record) -> float | None:
    on_cpu = record.environment.get("hardware", {}).get("device") == "cpu"
    return record.cpu_seconds if on_cpu else record.seconds


def _ratio(record: Record, oracles: Sequence[Record]) -> list[float]:
    own, times = _time(record), [time for oracle in oracles if (time := _time(oracle))]
    return [own / fmean(times)] if times and own is not None else []


def _oracle_row(retrained: Mapping[int, list[Record]], shown: Sequence[str], averaged: Sequence[str]) -> Row:
    groups = [group for group in retrained.values() if group]
    means = [_mean(group) for group in groups]
    apart = [
        [d for o in group for d in _disparity(_gaps(o, [other for other in group if other is not o]), averaged)]
        for group in groups
    ]
    return Row(
        ORACLE,
        {name: Estimate.of(m[name] for m in means if name in m) for name in shown} | _together(groups),
        disparity=Estimate.of(fmean(distances) for distances in apart if distances),
        seconds=Estimate.of(fmean(o.seconds or 0.0 for o in group) for group in groups),
        ratio=Estimate.of(1.0 for _ in groups),
    )


def _together(groups: Sequence[Sequence[Record]]) -> dict[str, Estimate]:
    """The mean over oracles of what was said of each over all seeds; no interval, since they share their originals."""
    said: dict[str, dict[int | None, float]] = defaultdict(dict)
    for record in (record for group in groups for record in group):
        for m in record.over_seeds:
            if m.value is not None:
                said[m.name][record.oracle] = m.value
    return {name: Estimate((fmean(values.values()),)) for name, values in said.items()}


def _spread(oracles: Mapping[int, list[Values]], shown: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
    deviation, band = {}, {}
    for name in shown:
        groups = [[v[name] for v in group if name in v] for group in oracles.values()]
        groups = [group for group in groups if len(group) > 1]
        freedom = sum(len(group) - 1 for group in groups)
        if freedom == 0:
            continue
        s = math.sqrt(sum((len(group) - 1) * stats.spread(group) ** 2 for group in groups) / freedom)
        share = fmean(1 + 1 / len(group) for group in groups) / len(groups)
        deviation[name], band[name] = s, stats.t_quantile(freedom, 0.05) * s * math.sqrt(share)
    return deviation, band
