"""Which differences between methods three seeds can show, from the committed results.

``python -m benchmarks.random_and_class.contrasts`` writes ``contrasts.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.contrasts import cells, fit, misfit, note, paired
from benchmarks.sparse_unlearning.claims import PUBLISHED_SHRINKAGE, dose
from benchmarks.sparse_unlearning.collect import CONTROLS, comparisons, family, variants

from lacunar.core.files import write_text
from lacunar.lab.pages import plus_minus
from lacunar.lab.table import Comparison
from lacunar.report.table import Table, markdown

HERE = Path(__file__).parent
LEAST_DOSE = 0.1


def against_doing_nothing(found: Sequence[Comparison]) -> Table:
    """Every method's disparity minus that of ``do_nothing`` of the same seed."""
    listed = [(c, row) for c in found for row in c.rows if family(row.method) not in CONTROLS]
    gaps = [paired(row.disparity, variants(c, "do_nothing")[0].disparity) for c, row in listed]
    rows = [
        (c.scenario, row.method, plus_minus(row.disparity), *cell)
        for (c, row), cell in zip(listed, cells(gaps), strict=True)
    ]
    heads = ("scenario", "method", "disparity", "minus that of do_nothing", "smallest effect", "word")
    return Table("Is it nearer to retraining than doing nothing?", heads, tuple(rows), _note(found, len(listed)))


def l1_against_fine_tuning(found: Sequence[Comparison]) -> Table:
    """``l1_sparse`` minus ``fine_tune``, seed by seed: defaults, then tuned settings."""
    pairs = [
        (c, ours, theirs)
        for c in found
        for ours, theirs in zip(variants(c, "l1_sparse"), variants(c, "fine_tune"), strict=True)
    ]
    told = cells([paired(ours.disparity, theirs.disparity) for _, ours, theirs in pairs])
    rows = []
    for (c, ours, theirs), (gap, effect, word) in zip(pairs, told, strict=True):
        delivered = dose(ours.method, c)
        said = word if delivered >= LEAST_DOSE else "not tested"
        rows.append((c.scenario, ours.method, theirs.method, gap, effect, said, f"{delivered:.2g}"))
    heads = ("scenario", "l1_sparse", "fine_tune", "l1_sparse minus fine_tune", "smallest effect", "word", "dose")
    ends = (
        f"Dose: what the penalty takes from a weight, as a share of the published {PUBLISHED_SHRINKAGE:g}; below "
        f"{LEAST_DOSE:g} of it nothing is tested."
    )
    said = f"{_note(found, len(pairs))} {ends}"
    return Table("Is the l1 penalty better than plain fine-tuning?", heads, tuple(rows), said)


def gates(found: Sequence[Comparison]) -> Table:
    """Whether the net fits what stays, before and after retraining."""
    rows = [(c.scenario, *(f"{value:.1f}" for value in fit(c)), misfit(c) or "fits") for c in found]
    heads = ("scenario", "RA of the original, %", "RA of retrained models, %", "gate")
    return Table("Does the net fit its training data?", heads, tuple(rows))


def _note(found: Sequence[Comparison], size: int) -> str:
    return f"{note(len(found[0].seeds), size)} Points of disparity."


def page(found: Sequence[Comparison]) -> str:
    """The tables as Markdown."""
    tables = (gates(found), against_doing_nothing(found), l1_against_fine_tuning(found))
    return "# What three seeds can show\n\n" + "\n".join(map(markdown, tables))


def main() -> Path:
    """Write the page."""
    return write_text(HERE / "contrasts.md", page(comparisons(HERE)))


if __name__ == "__main__":
    print(main())
