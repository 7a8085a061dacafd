"""The figures of this benchmark, drawn from the committed results.

``python -m benchmarks.sparse_unlearning.figures`` writes ``disparity.svg``, ``gaps.svg`` and ``backdoor.svg``.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib.style
from benchmarks.sparse_unlearning.collect import CONTROLS, FAMILIES, HERE, by_sparsity, searched, variants
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lacunar.core.files import write_text
from lacunar.lab.table import Estimate, Row

SCENARIOS = {"random_tenth": "a random tenth", "one_class": "one class"}
NAMES = {
    "fine_tune": "FT",
    "grad_ascent": "GA",
    "fisher_forgetting": "FF",
    "influence": "IU",
    "l1_sparse": "l1-sparse",
    "do_nothing": "do nothing",
    "retrain": "one more retraining",
}
# Okabe and Ito: told apart by readers who do not see all colours.
COLOURS = dict(zip(FAMILIES, ("#0072B2", "#E69F00", "#CC79A7", "#009E73", "#D55E00"), strict=True))
COLOURS |= {"do_nothing": "#888888", "retrain": "#222222"}
STYLE = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9.0,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "sparse_unlearning",
}
PERCENT = {"ua": "UA", "ra": "RA", "ta": "TA", "mia_efficacy_legacy": "MIA-efficacy (legacy)"}


def curve(ax: Axes, points: dict[float, Estimate], name: str, *, shift: float = 0.0, dashed: bool = False) -> None:
    """Means with 95 % intervals over sparsities, which stand at equal distances."""
    places = [i + shift for i in range(len(points))]
    whole = [(x, e) for x, e in zip(places, points.values(), strict=True) if e.mean is not None]
    if not whole:
        return
    x = [place for place, _ in whole]
    means = [e.mean or 0.0 for _, e in whole]
    below = [mean - (e.low or 0.0) for mean, (_, e) in zip(means, whole, strict=True)]
    above = [(e.high or 0.0) - mean for mean, (_, e) in zip(means, whole, strict=True)]
    style = {"color": COLOURS[name], "linestyle": "--" if dashed else "-", "linewidth": 1.4}
    ax.errorbar(x, means, yerr=(below, above), label=NAMES[name], marker="o", markersize=3, elinewidth=0.7, **style)


def sparsities(ax: Axes, points: Sequence[float]) -> None:
    """The horizontal axis."""
    ax.set_xticks(range(len(points)), [f"{point:g}" for point in points])
    ax.set_xlabel("convolution weights removed, %")


def disparity() -> Figure:
    """Disparity against sparsity: one column per scenario, published settings above, searched ones below."""
    figure = Figure(figsize=(8.4, 6.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    for column, (folder, title) in enumerate(SCENARIOS.items()):
        found = by_sparsity(HERE / folder)
        for line, (settings, pick) in enumerate({"published settings": 0, "searched settings": -1}.items()):
            ax = axes[line][column]
            for i, name in enumerate((*FAMILIES, "do_nothing", "retrain")):
                rows = {s: variants(c, name)[pick].disparity for s, c in found.items()}
                curve(ax, rows, name, shift=0.04 * (i - 3), dashed=name in CONTROLS)
            ax.set_title(f"Forgetting {title}, {settings}", fontsize=9, loc="left")
            ax.set_ylim(bottom=0)
            ax.set_ylabel("disparity to retraining, points")
            sparsities(ax, list(found))
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def gaps() -> Figure:
    """The four gaps that the disparity averages, searched settings."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    axes = figure.subplots(2, len(PERCENT), sharex=True)
    for line, (folder, title) in enumerate(SCENARIOS.items()):
        found = by_sparsity(HERE / folder)
        for column, (measure, said) in enumerate(PERCENT.items()):
            ax = axes[line][column]
            for i, name in enumerate((*FAMILIES, "do_nothing")):
                rows = {s: _gap(searched(c, name), measure) for s, c in found.items()}
                curve(ax, rows, name, shift=0.04 * (i - 3), dashed=name in CONTROLS)
            ax.axhline(0, color="#222222", linewidth=0.7)
            ax.set_title(f"{said}, {title}", fontsize=9, loc="left")
            sparsities(ax, list(found))
        axes[line][0].set_ylabel("value minus retraining, points")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _gap(row: Row, measure: str) -> Estimate:
    return row.gaps.get(measure, Estimate())


def backdoor() -> Figure:
    """Attack success and clean accuracy against sparsity, before and after fine-tuning."""
    found = by_sparsity(HERE / "backdoor")
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    shown = {
        "attack_success": (left, "attack success, %"),
        "clean_accuracy": (right, "clean test accuracy, %"),
    }
    for measure, (ax, said) in shown.items():
        for i, name in enumerate(("do_nothing", "fine_tune", "l1_sparse", "retrain")):
            rows = {s: searched(c, name).values[measure] for s, c in found.items()}
            curve(ax, rows, name, shift=0.04 * (i - 1), dashed=name in CONTROLS)
        ax.set_ylabel(said)
        ax.set_ylim(0, 100 if measure == "attack_success" else None)
        sparsities(ax, list(found))
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def write(figure: Figure, path: Path) -> Path:
    """The figure as SVG; the same results give the same text."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata=dict.fromkeys(("Creator", "Date")), facecolor="white")
    return write_text(path, "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n")


def main() -> None:
    """Draw all figures."""
    drawings = {"disparity": disparity, "gaps": gaps, "backdoor": backdoor}
    with matplotlib.style.context(["default", STYLE]):
        for name, draw in drawings.items():
            print(write(draw(), HERE / f"{name}.svg"))


if __name__ == "__main__":
    main()
