"""What an experiment found: tables from ``results.jsonl`` alone, as Markdown, LaTeX, CSV and one page."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lacunar import report
from lacunar.core.errors import BadInput
from lacunar.core.files import read_json, write_text
from lacunar.lab import experiment, results
from lacunar.lab.cell import ORACLE
from lacunar.lab.record import Record
from lacunar.lab.table import Comparison, Estimate, Row, comparable, compare
from lacunar.report import figures
from lacunar.report.table import Table, csv, latex, markdown
from lacunar.report.text import MISSING, number, places, quantity

BEYOND = "*"
"""Marks a mean gap that exceeds the oracle's own spread."""


def write(folder: Path | str) -> list[Path]:
    """Write ``table.md``, ``table.tex``, ``table.csv`` and ``report.html`` beside the ``results.jsonl`` of a folder.

    Title, question and the choice of columns come from the ``experiment.toml`` of the folder, if it has one.

    Raises:
        BadInput: there are no results in the folder, or a line of them is damaged.
    """
    home = Path(folder)
    records = results.read(home / results.FILE)
    if not records:
        raise BadInput(f"there are no results in {str(home)!r}: run the experiment first")
    kept, left_out = comparable(records)
    asked = _asked(home)
    found = compare(kept, asked.get("columns", ()), asked.get("disparity", ()))
    tables = [table for comparison in found for table in (values_table(comparison), gaps_table(comparison))]
    intro = "\n\n".join(part for part in (asked.get("question", "").strip(), _left_out(left_out)) if part)
    title = asked.get("title") or "Experiment"
    drawings = [figure(c, i) for i, c in enumerate(found) if c.oracle.disparity.mean is not None]
    text = [f"# {title}\n", *([intro + "\n"] if intro else []), *map(markdown, tables)]
    return [
        write_text(home / "table.md", "\n".join(text)),
        write_text(home / "table.tex", "\n".join(map(latex, tables))),
        write_text(home / "table.csv", csv(long_table(found))),
        report.save_experiment(home / "report.html", title, intro, tables, drawings, _environment(home, kept)),
    ]


def values_table(comparison: Comparison) -> Table:
    """What was measured, one row per method, the oracle first."""
    rows = [_value_cells(comparison, row) for row in (comparison.oracle, *comparison.rows)]
    columns = ("method", *(_head(comparison, name) for name in comparison.columns), "seconds", "of a retraining")
    note = " ".join(part for part in (_seeds(comparison), _undefined(comparison), _troubles(comparison)) if part)
    return Table(f"{_case(comparison)}: what was measured", columns, tuple(rows), note)


def gaps_table(comparison: Comparison) -> Table:
    """How far each method is from the oracles of the same seed, under a row with the oracle's own spread."""
    spread = tuple(_within(comparison.band.get(name)) for name in comparison.columns)
    rows = [(f"{ORACLE}: own spread", *spread, plus_minus(comparison.oracle.disparity))]
    rows += [_gap_cells(comparison, row) for row in comparison.rows]
    columns = ("method", *(_head(comparison, name) for name in comparison.columns), "disparity")
    note = (
        f"Value minus the mean of {comparison.oracles} retrained models of the same seed. {_seeds(comparison)} The "
        "first row: within this range the mean gap of one more retrained model per seed would fall with 95 % "
        f"probability; {BEYOND} marks gaps beyond it. Disparity: mean absolute gap of "
        f"{', '.join(comparison.disparity)}, averaged over seeds; in the first row that of each retrained model to the "
        "others."
    )
    return Table(f"{_case(comparison)}: gap to the oracle", columns, tuple(rows), note)


def long_table(found: Sequence[Comparison]) -> Table:
    """Everything in one table: a line per case, method and measurement, numbers in full."""
    case = ("dataset", "model", "pruner", "scenario", "method", "measurement", "seeds", "oracles")
    numbers = ("mean", "low", "high", "gap", "gap_low", "gap_high", "oracle_band", "values")
    return Table("", (*case, *numbers), tuple(line for comparison in found for line in _long(comparison)))


def figure(comparison: Comparison, index: int) -> tuple[str, str]:
    """The disparity of each method beside the oracle's own."""

    def drawn(row: Row) -> figures.Estimate:
        estimate = row.disparity
        low = None if estimate.low is None else max(estimate.low, 0.0)
        return figures.Estimate(row.method, estimate.mean, low, estimate.high)

    drawing = figures.estimates(
        f"disparity-{index}",
        [drawn(row) for row in comparison.rows],
        "disparity to the oracle (smaller is closer)",
        drawn(comparison.oracle),
    )
    return f"{_case(comparison)}: disparity, mean and 95 % interval over seeds", drawing


def plus_minus(estimate: Estimate, mark: str = "", most: int = 6) -> str:
    """``mean ± half-width`` with at most ``most`` decimals; the single values where there are too few for a mean.

    An interval that is not centred at the mean is written out.

    >>> plus_minus(Estimate.of([5.0, 6.0, 8.0])), plus_minus(Estimate((5.0, 6.25)))
    ('6.3 ± 3.8', '5 / 6.25')
    """
    if estimate.mean is None or estimate.high is None:
        return " / ".join(number(value) for value in estimate.values) or MISSING
    half = estimate.high - estimate.mean
    if estimate.low is not None and not math.isclose(half, estimate.mean - estimate.low, abs_tol=1e-9):
        return f"{number(estimate.mean)} [{number(estimate.low)}, {number(estimate.high)}]{mark}"
    digits = min(places(half), most) if half > 0 else None
    return f"{number(estimate.mean, digits)} ± {number(half, digits)}{mark}"


def _value_cells(comparison: Comparison, row: Row) -> tuple[str, ...]:
    values = (plus_minus(row.values[name]) for name in comparison.columns)
    return (row.method, *values, plus_minus(row.seconds, most=3), plus_minus(row.ratio, most=3))


def _gap_cells(comparison: Comparison, row: Row) -> tuple[str, ...]:
    gaps = (plus_minus(row.gaps[name], BEYOND if name in row.beyond else "") for name in comparison.columns)
    return (row.method, *gaps, plus_minus(row.disparity))


def _long(comparison: Comparison) -> list[tuple[str, ...]]:
    case = (comparison.dataset, comparison.model, comparison.pruner, comparison.scenario)
    lines = []
    for row in (comparison.oracle, *comparison.rows):
        cost = {"disparity": row.disparity, "seconds": row.seconds, "ratio_to_retraining": row.ratio}
        for name, value in {**row.values, **cost}.items():
            gap, band = row.gaps.get(name, Estimate()), comparison.band.get(name)
            numbers = (value.mean, value.low, value.high, gap.mean, gap.low, gap.high, band)
            head = (*case, row.method, name, str(len(value.values)), str(comparison.oracles))
            lines.append((*head, *map(_full, numbers), " ".join(map(repr, value.values))))
    return lines


def _full(value: float | None) -> str:
    return "" if value is None else repr(value)


def _head(comparison: Comparison, name: str) -> str:
    unit = comparison.units[name]
    return f"{name}, {unit}" if unit else name


def _case(comparison: Comparison) -> str:
    parts = (comparison.dataset, comparison.model, comparison.pruner, comparison.scenario)
    return " · ".join(part for part in parts if part != experiment.DENSE)


def _seeds(comparison: Comparison) -> str:
    n = len(comparison.seeds)
    forgotten = " / ".join(f"{count:,}" for count in dict.fromkeys(comparison.forgotten))
    what = "mean ± half of Student's 95 % interval" if n >= 3 else "single values, since a mean needs 3 seeds"
    return f"{n} seeds, {forgotten} examples forgotten: {what}."


def _undefined(comparison: Comparison) -> str:
    return " ".join(f"{name} is not shown: {why}." for name, why in comparison.undefined.items())


def _troubles(comparison: Comparison) -> str:
    return " ".join(f"{row.method}: {trouble}." for row in comparison.rows for trouble in row.troubles)


def _within(band: float | None) -> str:
    return MISSING if band is None else f"± {quantity(band)}"


def _left_out(count: int) -> str:
    return f"{count} older results of another protocol (recipe, number of oracles) are left out." if count else ""


def _asked(home: Path) -> dict[str, Any]:
    path = home / experiment.FILE
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _environment(home: Path, records: Sequence[Record]) -> Mapping[str, Any]:
    path = home / "environment.json"
    found: Mapping[str, Any] = read_json(path) if path.is_file() else records[-1].environment
    return found
