"""The paper's four claims against the committed results, as tables.

``python -m benchmarks.sparse_unlearning.claims`` writes ``claims.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.contrasts import LEAST_FIT, MOST_APART, cells, fit, misfit, note, paired
from benchmarks.sparse_unlearning.collect import FAMILIES, HERE, by_sparsity, comparisons, family, searched, variants
from scipy.stats import spearmanr

from lacunar.catalog import registry
from lacunar.core.files import write_text
from lacunar.lab.pages import plus_minus
from lacunar.lab.table import Comparison, Estimate, Row
from lacunar.report.table import Table, markdown
from lacunar.report.text import number

Found = dict[float, Comparison]
"""Sparsity in percent -> results."""
Case = tuple[Found, str]
"""The results of a scenario, and its words."""

FOLDERS = {"random_tenth": "a random tenth", "one_class": "one class"}
BEST = {"a random tenth": "fine_tune", "one class": "influence"}
"""Which method the paper finds nearest to retraining at 95 %."""
PICKS = {"published": 0, "searched": -1}
SPARSE, DENSE = 95.0, 0.0
PUBLISHED_SHRINKAGE = 8e-3
"""What the penalty takes from a weight in the paper's run on CIFAR-10: 1,590 steps of rate 0.01 with gamma 1e-4."""
TERMS = ("prop2_travel", "prop2_sharpness", "prop2_scale", "prop2_error", "prop2_floor")
TOLD = ("smallest effect", "word")


def gates(found: dict[str, Found]) -> Table:
    """Which sparsities may be compared at all."""
    rows = []
    for folder, sparsities in found.items():
        for s, comparison in sparsities.items():
            accuracies = (f"{value:.1f}" for value in fit(comparison))
            rows.append((folder, f"{s:g} %", *accuracies, misfit(comparison) or "fits"))
    heads = ("folder", "sparsity", "RA of the original, %", "RA of retrained models, %", "gate")
    said = (
        f"A sparsity answers a claim only if the original fits at least {LEAST_FIT:g} % of the rows that stay, and "
        f'retrained models as many within {MOST_APART:g} point. Where it does not, the word below is "not tested".'
    )
    return Table("The gate: does the net fit its training data?", heads, tuple(rows), said)


def falls(cases: Sequence[Case]) -> Iterable[Table]:
    """(a): the disparity at each sparsity, and its change from dense to 95 %, as it is and beyond doing nothing."""
    tests = [(settings, pick, name) for settings, pick in PICKS.items() for name in FAMILIES]
    told = iter(cells([_beyond(found, name, pick) for found, _ in cases for _, pick, name in tests]))
    for found, title in cases:
        rows = [(*_by_sparsity(found, name, pick, own), *_gated(next(told), found)) for own, pick, name in tests]
        rows[len(FAMILIES) : len(FAMILIES)] = [
            (*_by_sparsity(found, name, 0, "control"), plus_minus(_beyond(found, name, 0)) if other else "", "", "")
            for name, other in (("do_nothing", False), ("retrain", True))
        ]
        heads = ("method", "settings", *(f"{s:g} %" for s in found), "95 % minus dense", "beyond do_nothing", *TOLD)
        yield Table(f"(a) Disparity by sparsity, forgetting {title}", heads, tuple(rows), _note(found, len(cases) * 10))


def _by_sparsity(found: Found, name: str, pick: int, settings: str) -> tuple[str, ...]:
    at = {s: variants(c, name)[pick].disparity for s, c in found.items()}
    return (name, settings, *map(plus_minus, at.values()), plus_minus(paired(at[SPARSE], at[DENSE])))


def _beyond(found: Found, name: str, pick: int) -> Estimate:
    """The change from dense to 95 % minus that of doing nothing."""
    own = (variants(found[s], name)[pick].disparity for s in (SPARSE, DENSE))
    none = (searched(found[s], "do_nothing").disparity for s in (SPARSE, DENSE))
    return paired(*(paired(a, b) for a, b in zip(own, none, strict=True)))


def _gated(told: tuple[str, str, str], found: Found, sparsities: Sequence[float] = (DENSE, SPARSE)) -> tuple[str, ...]:
    """The difference and what it says; "not tested" where the net does not fit at one of the sparsities."""
    return told if not any(misfit(found[s]) for s in sparsities) else (*told[:2], "not tested")


def ranks(cases: Sequence[Case]) -> Iterable[Table]:
    """(b): all methods at 95 %, the nearest to retraining first; searched settings against the paper's best."""
    rivals = {title: [name for name in FAMILIES if name != BEST[title]] for _, title in cases}
    tests = [(found[SPARSE], title, name) for found, title in cases for name in rivals[title]]
    gaps = cells([paired(*(searched(c, n).disparity for n in (name, BEST[title]))) for c, title, name in tests])
    told = {(title, searched(c, name).method): cell for (c, title, name), cell in zip(tests, gaps, strict=True)}
    for found, title in cases:
        comparison = found[SPARSE]
        listed = [row for row in comparison.rows if row.disparity.mean is not None]
        listed.sort(key=lambda row: row.disparity.mean or 0.0)
        rows = []
        for row in listed:
            cell = told.get((title, row.method))
            said = ("", "", "") if cell is None else _gated(cell, found, (SPARSE,))
            rows.append((row.method, *_panel(comparison, row), plus_minus(row.ratio, most=3), *said))
        heads = (
            "method",
            *_panel_heads(comparison),
            "of a retraining",
            f"disparity minus that of {BEST[title]}",
            *TOLD,
        )
        yield Table(f"(b) At 95 %, forgetting {title}", heads, tuple(rows), _note(found, len(tests)))


def l1_against_fine_tuning(cases: Sequence[Case]) -> Iterable[Table]:
    """(c): l1_sparse minus fine_tune, seed by seed, at equal epochs."""
    tests = [(found, s, own, pick) for found, _ in cases for s in found for own, pick in PICKS.items()]
    pairs = [[variants(found[s], n)[pick] for n in ("l1_sparse", "fine_tune")] for found, s, _, pick in tests]
    told = cells([paired(ours.disparity, theirs.disparity) for ours, theirs in pairs])
    for found, title in cases:
        rows = []
        for (own, s, settings, _), (ours, theirs), cell in zip(tests, pairs, told, strict=True):
            if own is found:
                ratio = Estimate.of(a / b for a, b in zip(ours.ratio.values, theirs.ratio.values, strict=True))
                both = (plus_minus(ours.disparity), plus_minus(theirs.disparity))
                done = (number(steps(ours.method, found[s])), f"{dose(ours.method, found[s]):.2g}")
                rows.append((f"{s:g} %", settings, *both, *_gated(cell, found, (s,)), plus_minus(ratio, most=2), *done))
        heads = ("sparsity", "settings", "l1_sparse", "fine_tune", "l1_sparse minus fine_tune", *TOLD)
        ends = ("time of l1 / of FT", "steps", "dose")
        said = (
            f"{_note(found, len(tests))} Dose: what the penalty takes from a weight, as a share of the published 0.008."
        )
        yield Table(
            f"(c) Disparity of l1-sparse and fine-tuning, forgetting {title}", (*heads, *ends), tuple(rows), said
        )


def steps(line: str, comparison: Comparison) -> int:
    """How many steps a fine-tuning method makes on the rows that stay."""
    method, data = registry.parse("methods", line), registry.parse("datasets", comparison.dataset)
    kept = round(data.n_train * (1 - data.validation)) - comparison.forgotten[0]
    return int(method.epochs) * math.ceil(kept / method.batch_size)


def dose(line: str, comparison: Comparison) -> float:
    r"""The delivered shrinkage :math:`\eta \gamma T / (2 (1 - \mu))` of a fading penalty, as a share of the paper's."""
    method = registry.parse("methods", line)
    shrinkage = method.lr * method.gamma * steps(line, comparison) / (2 * (1 - method.momentum))
    return float(shrinkage) / PUBLISHED_SHRINKAGE


def backdoors(found: Found) -> Table:
    """(d): attack success and clean accuracy by sparsity, and how far attack success is from that of the dense net."""
    dense = {row.method: row.values["attack_success"] for row in found[DENSE].rows}
    listed = [(s, row) for s, c in found.items() for row in c.rows if row.method != "random_weights"]
    gaps = [paired(row.values["attack_success"], dense[row.method]) for _, row in listed]
    tested = [s != DENSE and family(row.method) in FAMILIES for s, row in listed]
    told = iter(cells([gap for gap, test in zip(gaps, tested, strict=True) if test]))
    rows = []
    for (s, row), gap, test in zip(listed, gaps, tested, strict=True):
        measured = (row.values[name] for name in ("attack_success", "attack_success_legacy", "clean_accuracy"))
        plain = ("" if s == DENSE else plus_minus(gap), "", "")
        rows.append(
            (
                f"{s:g} %",
                row.method,
                *map(plus_minus, measured),
                *(_gated(next(told), found, (s, DENSE)) if test else plain),
            )
        )
    heads = (
        "sparsity",
        "method",
        "ASR, %",
        "ASR as published, %",
        "clean accuracy, %",
        "ASR minus that of the dense net",
        *TOLD,
    )
    return Table("(d) The backdoor by sparsity", heads, tuple(rows), _note(found, sum(tested)))


def schedules(comparison: Comparison) -> Table:
    """The l1 table: schedule x solver."""
    rows = []
    for row in comparison.rows:
        if family(row.method) in ("l1_sparse", "fine_tune"):
            zeros = plus_minus(row.values["sparsity"])
            rows.append((row.method, *_panel(comparison, row), zeros, plus_minus(row.ratio, most=3)))
    heads = ("method", *_panel_heads(comparison), "exact zeros, share of weights", "of a retraining")
    return Table(f"Schedules and solvers, {comparison.scenario}", heads, tuple(rows), _plain_note({0.0: comparison}))


def proposition(found: dict[float, Comparison]) -> Table:
    """The terms of Proposition 2 by sparsity, with their rank correlation to the distance."""
    rows, moved = [], []
    for s, comparison in found.items():
        row, none = variants(comparison, "grad_ascent")[0], searched(comparison, "do_nothing").values["prop2_error"]
        moved += [abs(a - b) / b for a, b in zip(row.values["prop2_error"].values, none.values, strict=True)]
        rows.append((f"{s:g} %", *(plus_minus(row.values[name]) for name in TERMS), plus_minus(none)))
    scale, error = (
        [variants(c, "grad_ascent")[0].values[name].values for c in found.values()]
        for name in ("prop2_scale", "prop2_error")
    )
    ranks = [
        float(spearmanr(a, b).statistic)
        for a, b in zip(zip(*scale, strict=True), zip(*error, strict=True), strict=True)
    ]
    said = (
        f"{_plain_note(found)} Spearman correlation of scale and error over the sparsities: "
        f"{plus_minus(Estimate.of(ranks))}. Not tested: the ascent left the distance where it was. In none of "
        f"{len(moved)} runs does it differ from that of doing nothing by more than {max(moved):.1g} of it."
    )
    heads = ("sparsity", *TERMS, "prop2_error of do_nothing")
    return Table("Proposition 2, gradient ascent", heads, tuple(rows), said)


def _panel_heads(comparison: Comparison) -> tuple[str, ...]:
    return ("disparity", *(f"gap of {name}" for name in _judged(comparison)))


def _panel(comparison: Comparison, row: Row) -> tuple[str, ...]:
    return (plus_minus(row.disparity), *(plus_minus(row.gaps.get(name, Estimate())) for name in _judged(comparison)))


def _judged(comparison: Comparison) -> tuple[str, ...]:
    return tuple(name for name in comparison.columns if name != "sparsity")


def _note(found: Found, family_size: int) -> str:
    return note(len(next(iter(found.values())).seeds), family_size)


def _plain_note(found: Found) -> str:
    return f"Mean and half of Student's 95 % interval over n = {len(next(iter(found.values())).seeds)} seeds; points."


def tables() -> list[Table]:
    """All tables of the page."""
    found = {folder: by_sparsity(HERE / folder) for folder in (*FOLDERS, "backdoor", "proposition2")}
    both = [(found[folder], title) for folder, title in FOLDERS.items()]
    made = [table for make in (falls, ranks, l1_against_fine_tuning) for table in make(both)]
    gated = gates({folder: found[folder] for folder in (*FOLDERS, "backdoor")})
    solvers = map(schedules, comparisons(HERE / "l1"))
    return [gated, *made, backdoors(found["backdoor"]), *solvers, proposition(found["proposition2"])]


def page(made: Sequence[Table]) -> str:
    """The tables as Markdown."""
    return "# The claims in numbers\n\n" + "\n".join(map(markdown, made))


def main() -> Path:
    """Write the page."""
    return write_text(HERE / "claims.md", page(tables()))


if __name__ == "__main__":
    print(main())
