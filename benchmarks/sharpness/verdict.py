"""Do the sharpest weights contribute most? Paired differences over seeds, made from results.jsonl.

``python -m benchmarks.sharpness.verdict FOLDER`` writes verdict.md in FOLDER: one table and one sentence for each edit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from benchmarks.contrasts import cells, note

from lacunar import lab
from lacunar.catalog import registry
from lacunar.core.files import write_text
from lacunar.lab.pages import plus_minus
from lacunar.lab.record import DONE, Record
from lacunar.lab.table import Estimate
from lacunar.report.table import Table, markdown

JUDGED = "accuracy_restored"
SELECTIONS = ("largest", "forget_newton", "random", "smallest")
COSTS = ("curvature_products", "cpu_seconds")


class Cell(NamedTuple):
    """What a row of the table is about."""

    dataset: str
    scenario: str
    edit: str
    rho: float


Values = dict[Cell, dict[str, dict[int, float]]]
"""Per cell and selection the value of each seed; several random masks of a seed are averaged."""


def collected(records: Iterable[Record], name: str = JUDGED) -> Values:
    """One measurement of all restricted edits."""
    found: dict[Cell, dict[str, dict[int, list[float]]]] = {}
    for record in records:
        spec: dict[str, Any] = record.settings.get("method", {})
        value = measured(record, name)
        if value is None or spec.get("name") != "sharpness_select" or spec["settings"]["last_layers"]:
            continue
        settings = spec["settings"]
        cell = Cell(record.dataset, record.scenario, edit_label(settings["edit"]), settings["rho"])
        score = settings["score"]["name"]
        selection = settings["order"] if settings["order"] != "largest" or score == "ggn_diagonal" else score
        found.setdefault(cell, {}).setdefault(selection, {}).setdefault(record.seed, []).append(value)
    return {
        cell: {selection: {seed: fmean(v) for seed, v in seeds.items()} for selection, seeds in selections.items()}
        for cell, selections in found.items()
    }


def measured(record: Record, name: str) -> float | None:
    """One measurement of a finished record."""
    if record.status != DONE:
        return None
    return next((m.value for m in record.measurements if m.name == name), None)


def edit_label(edit: dict[str, Any]) -> str:
    """An edit by its name, and its steps where it makes several."""
    steps = edit["settings"].get("steps", 1)
    return str(edit["name"]) if steps == 1 else f"{edit['name']}, {steps} steps"


def beside(records: Sequence[Record]) -> Table:
    """All that is no choice among the weights: controls, fine-tuning, the last layer, all weights."""
    rows = []
    for method in dict.fromkeys(r.method for r in records):
        own = [r for r in records if r.method == method]
        spec = own[0].settings.get("method", {})
        if spec.get("name") == "sharpness_select" and not spec["settings"]["last_layers"]:
            continue
        cells = [
            plus_minus(Estimate.of(v for r in own if (v := measured(r, name)) is not None)) for name in (JUDGED, *COSTS)
        ]
        rows.append((method, *cells))
    return Table("Beside them", ("method", JUDGED, *COSTS), tuple(rows), "Mean and half of a 95 % interval over seeds.")


def difference(values: dict[str, dict[int, float]], one: str, other: str) -> Estimate:
    """The paired differences over the seeds that both have."""
    both = sorted(set(values.get(one, {})) & set(values.get(other, {})))
    return Estimate.of(values[one][seed] - values[other][seed] for seed in both)


def page(records: Sequence[Record]) -> str:
    """The tables and their sentences as Markdown."""
    found, costs = collected(records), {name: collected(records, name) for name in COSTS}
    groups, short = sorted({cell[:3] for cell in found}), cut_short(records)
    parts = [_group(g, {c: v for c, v in found.items() if c[:3] == g}, costs, short.get(g[2], "")) for g in groups]
    return "\n\n".join([*parts, markdown(beside(records))])


def cut_short(records: Sequence[Record]) -> dict[str, str]:
    """Per edit whose conjugate gradients were stopped early, by how much; a full solve is that of the defaults."""
    full, found = registry.parse("methods", "newton_edit"), {}
    for record in records:
        edit = record.settings.get("method", {}).get("settings", {}).get("edit")
        if edit is None or edit["settings"].get("solver") != "cg":
            continue
        most, residual = edit["settings"]["max_iter"], edit["settings"]["rtol"]
        if most < full.max_iter or residual > full.rtol:
            found[edit_label(edit)] = (
                f"conjugate gradients stopped at {most} products or a relative residual of {residual:g} (full: "
                f"{full.max_iter} and {full.rtol:g}), where a step is close to a scaled gradient whatever is picked"
            )
    return found


def _group(group: tuple[str, str, str], values: Values, costs: dict[str, Values], short: str) -> str:
    listed = sorted(values, key=lambda c: c.rho)
    gaps = [difference(values[cell], "largest", "random") for cell in listed]
    told = cells(gaps)
    rows = []
    for cell, gap, (_, *said) in zip(listed, gaps, told, strict=True):
        row = values[cell]
        means = [f"{fmean(row[s].values()):.3f}" if row.get(s) else "-" for s in SELECTIONS]
        spent = [costs[name].get(cell, {}).get("largest", {}) for name in COSTS]
        shown = [f"{fmean(v.values()):.1f}" if v else "-" for v in spent]
        rows.append((f"{cell.rho:g}", *means, _ends(gap), *said, *shown, str(len(row.get("largest", {})))))
    heads = (
        "share",
        *SELECTIONS,
        "largest - random (95 %)",
        "smallest effect",
        "word",
        "products",
        "processor s",
        "seeds",
    )
    least = min(len(values[cell].get("largest", {})) for cell in listed)
    table = Table(", ".join(group), heads, tuple(rows), note(least, len(rows)))
    return markdown(table) + "\n" + _sentence([word for _, _, word in told], short)


def _ends(gap: Estimate) -> str:
    return "-" if gap.mean is None else f"{gap.mean:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"


def _sentence(told: Sequence[str], short: str) -> str:
    count = {word: told.count(word) for word in ("higher", "lower", "open")}
    said = (
        f"The sharpest weights restore more than random ones at {count['higher']}, less at {count['lower']} of "
        f"{len(told)} shares; open at {count['open']}."
    )
    return f"{said} Not tested: {short}." if short else said


def main(folders: Sequence[str]) -> None:
    """Write ``verdict.md`` in each folder."""
    for folder in map(Path, folders):
        print(write_text(folder / "verdict.md", page(lab.read(folder / "results.jsonl"))))


if __name__ == "__main__":
    main(sys.argv[1:])
