"""The paper's four claims against the committed results, as tables.

``python -m benchmarks.sparse_unlearning.claims`` writes ``claims.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.sparse_unlearning.collect import FAMILIES, HERE, by_sparsity, comparisons, family, searched, variants
from scipy.stats import spearmanr

from lacunar.core.files import write_text
from lacunar.lab.pages import plus_minus
from lacunar.lab.table import Comparison, Estimate, Row
from lacunar.report.table import Table, markdown

FOLDERS = {"random_tenth": "a random tenth", "one_class": "one class"}
PICKS = {"published": 0, "searched": -1}
SPARSE, DENSE = 95.0, 0.0
TERMS = ("prop2_travel", "prop2_sharpness", "prop2_scale", "prop2_error", "prop2_floor")


def paired(one: Estimate, other: Estimate) -> Estimate:
    """The differences of two rows seed by seed; empty where a seed is missing in one of them."""
    if len(one.values) != len(other.values):
        return Estimate()
    return Estimate.of(a - b for a, b in zip(one.values, other.values, strict=True))


def verdict(difference: Estimate) -> str:
    """What an interval says: "lower", "higher", or "open" when it holds 0."""
    if difference.low is None or difference.high is None:
        return "-"
    return "lower" if difference.high < 0 else "higher" if difference.low > 0 else "open"


def falls(found: dict[float, Comparison], title: str) -> Table:
    """(a): the disparity at each sparsity, and its change from dense to 95 %, as it is and beyond doing nothing."""
    rows = []
    for settings, pick in PICKS.items():
        for name in (*FAMILIES, *(("do_nothing", "retrain") if pick == 0 else ())):
            at = {s: variants(c, name)[pick].disparity for s, c in found.items()}
            change = paired(at[SPARSE], at[DENSE])
            beyond = paired(*(paired(at[s], _row(found[s], "do_nothing").disparity) for s in (SPARSE, DENSE)))
            own = settings if name in FAMILIES else "control"
            shown = (change, beyond) if name != "do_nothing" else (change, Estimate())
            rows.append((name, own, *map(plus_minus, at.values()), *map(_told, shown)))
    heads = ("method", "settings", *(f"{s:g} %" for s in found), "95 % minus dense", "the same, beyond do_nothing")
    return Table(f"(a) Disparity by sparsity, forgetting {title}", heads, tuple(rows), _note(found))


def ranks(found: dict[float, Comparison], title: str) -> Table:
    """(b): all methods at 95 %, the nearest to retraining first."""
    comparison = found[SPARSE]
    listed = [row for row in comparison.rows if row.disparity.mean is not None]
    listed.sort(key=lambda row: row.disparity.mean or 0.0)
    rows = [(row.method, *_panel(comparison, row), plus_minus(row.ratio, most=3)) for row in listed]
    heads = ("method", *_panel_heads(comparison), "of a retraining")
    return Table(f"(b) At 95 %, forgetting {title}", heads, tuple(rows), _note(found))


def l1_against_fine_tuning(found: dict[float, Comparison], title: str) -> Table:
    """(c): l1_sparse minus fine_tune, seed by seed, at equal epochs."""
    rows = []
    for s, comparison in found.items():
        for settings, pick in PICKS.items():
            ours, theirs = (variants(comparison, name)[pick] for name in ("l1_sparse", "fine_tune"))
            gap = paired(ours.disparity, theirs.disparity)
            ratio = Estimate.of(a / b for a, b in zip(ours.ratio.values, theirs.ratio.values, strict=True))
            told = (plus_minus(ours.disparity), plus_minus(theirs.disparity), _told(gap), plus_minus(ratio, most=2))
            rows.append((f"{s:g} %", settings, *told))
    heads = ("sparsity", "settings", "l1_sparse", "fine_tune", "l1_sparse minus fine_tune", "time of l1 / of FT")
    return Table(f"(c) Disparity of l1-sparse and fine-tuning, forgetting {title}", heads, tuple(rows), _note(found))


def backdoors(found: dict[float, Comparison]) -> Table:
    """(d): attack success and clean accuracy by sparsity, and how far attack success is from that of the dense net."""
    rows, dense = [], {row.method: row.values["attack_success"] for row in found[DENSE].rows}
    for s, comparison in found.items():
        for row in comparison.rows:
            if row.method == "random_weights":
                continue
            measured = (row.values[name] for name in ("attack_success", "attack_success_legacy", "clean_accuracy"))
            change = "" if s == DENSE else _told(paired(row.values["attack_success"], dense[row.method]))
            rows.append((f"{s:g} %", row.method, *map(plus_minus, measured), change))
    heads = (
        "sparsity",
        "method",
        "ASR, %",
        "ASR as published, %",
        "clean accuracy, %",
        "ASR minus that of the dense net",
    )
    return Table("(d) The backdoor by sparsity", heads, tuple(rows), _note(found))


def schedules(comparison: Comparison) -> Table:
    """The l1 table: schedule x solver."""
    rows = []
    for row in comparison.rows:
        if family(row.method) in ("l1_sparse", "fine_tune"):
            zeros = plus_minus(row.values["sparsity"])
            rows.append((row.method, *_panel(comparison, row), zeros, plus_minus(row.ratio, most=3)))
    heads = ("method", *_panel_heads(comparison), "exact zeros, share of weights", "of a retraining")
    return Table(f"Schedules and solvers, {comparison.scenario}", heads, tuple(rows), _note({0.0: comparison}))


def proposition(found: dict[float, Comparison]) -> Table:
    """The terms of Proposition 2 by sparsity, with their rank correlation to the distance."""
    rows = []
    for s, comparison in found.items():
        row = variants(comparison, "grad_ascent")[0]
        rows.append((f"{s:g} %", *(plus_minus(row.values[name]) for name in TERMS)))
    scale, error = (
        [variants(c, "grad_ascent")[0].values[name].values for c in found.values()]
        for name in ("prop2_scale", "prop2_error")
    )
    ranks = [
        float(spearmanr(a, b).statistic)
        for a, b in zip(zip(*scale, strict=True), zip(*error, strict=True), strict=True)
    ]
    note = (
        f"{_note(found)} Spearman correlation of scale and error over the sparsities: {plus_minus(Estimate.of(ranks))}."
    )
    return Table("Proposition 2, gradient ascent", ("sparsity", *TERMS), tuple(rows), note)


def _panel_heads(comparison: Comparison) -> tuple[str, ...]:
    return ("disparity", *(f"gap of {name}" for name in _judged(comparison)))


def _panel(comparison: Comparison, row: Row) -> tuple[str, ...]:
    return (plus_minus(row.disparity), *(plus_minus(row.gaps.get(name, Estimate())) for name in _judged(comparison)))


def _judged(comparison: Comparison) -> tuple[str, ...]:
    return tuple(name for name in comparison.columns if name != "sparsity")


def _row(comparison: Comparison, name: str) -> Row:
    return searched(comparison, name)


def _told(difference: Estimate) -> str:
    return "" if difference.mean is None else f"{plus_minus(difference)} ({verdict(difference)})"


def _note(found: dict[float, Comparison]) -> str:
    seeds = {c.seeds for c in found.values()}
    listed = ", ".join(str(len(s)) for s in sorted(seeds))
    return f"Mean and half of Student's 95 % interval over n = {listed} seeds; points."


def tables() -> list[Table]:
    """All tables of the page."""
    found = {folder: by_sparsity(HERE / folder) for folder in (*FOLDERS, "backdoor", "prop2")}
    both = [(found[folder], title) for folder, title in FOLDERS.items()]
    made: list[Table] = [make(*case) for make in (falls, ranks, l1_against_fine_tuning) for case in both]
    return [*made, backdoors(found["backdoor"]), *map(schedules, comparisons(HERE / "l1")), proposition(found["prop2"])]


def page(made: Sequence[Table]) -> str:
    """The tables as Markdown."""
    return "# The claims in numbers\n\n" + "\n".join(map(markdown, made))


def main() -> Path:
    """Write the page."""
    return write_text(HERE / "claims.md", page(tables()))


if __name__ == "__main__":
    print(main())
