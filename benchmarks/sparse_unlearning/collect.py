"""The results of one folder as rows by method and sparsity."""

from __future__ import annotations

import tomllib
from pathlib import Path

from lacunar import lab
from lacunar.catalog import registry
from lacunar.lab.experiment import DENSE
from lacunar.lab.table import Comparison, Row, comparable, compare

HERE = Path(__file__).parent
FAMILIES = ("fine_tune", "grad_ascent", "fisher_forgetting", "influence", "l1_sparse")
CONTROLS = ("do_nothing", "retrain", "random_weights")


def comparisons(folder: Path) -> list[Comparison]:
    """The tables of a folder, read with the columns that its experiment asks for."""
    asked = tomllib.loads((folder / "experiment.toml").read_text(encoding="utf-8"))
    kept, _ = comparable(lab.read(folder / "results.jsonl"))
    return compare(kept, asked["columns"], asked["disparity"])


def by_sparsity(folder: Path) -> dict[float, Comparison]:
    """Sparsity in percent -> comparison, from dense on; for a folder with one data set, model and scenario."""
    found = {sparsity(c.pruner): c for c in comparisons(folder)}
    return dict(sorted(found.items()))


def sparsity(line: str) -> float:
    """The percentage of convolution weights that a pruner's line removes."""
    return 0.0 if line == DENSE else round(100 * float(registry.parse("pruners", line).sparsity), 3)


def family(line: str) -> str:
    """The plug-in's name of a method's line."""
    return line.partition(":")[0]


def variants(comparison: Comparison, name: str) -> list[Row]:
    """The rows of one method in the order of the experiment: published settings, then settings that were searched."""
    return [row for row in comparison.rows if family(row.method) == name]


def searched(comparison: Comparison, name: str) -> Row:
    """The row of one method whose settings were searched; the only one, where the search ended at the default."""
    return variants(comparison, name)[-1]
