"""Which settings become tuned rows: per scenario and method those with the lowest mean disparity in tuning/.

``python -m benchmarks.sparse_unlearning.choose`` prints them.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from statistics import fmean

from benchmarks.sparse_unlearning.collect import FAMILIES, HERE, comparisons, family


def chosen(folder: Path) -> dict[str, dict[str, tuple[str, float]]]:
    """Scenario -> method -> line with the lowest disparity, averaged over the sparsities of the folder, and that."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    cases = comparisons(folder)
    for comparison in cases:
        for row in comparison.rows:
            found[comparison.scenario][row.method] += row.disparity.values
    return {
        scenario: {name: _best(lines, name, len(cases) // len(found)) for name in FAMILIES}
        for scenario, lines in found.items()
    }


def _best(lines: dict[str, list[float]], name: str, cases: int) -> tuple[str, float]:
    # A setting that diverged at one sparsity is no candidate.
    whole = {line: fmean(values) for line, values in lines.items() if family(line) == name and len(values) == cases}
    best = min(whole, key=lambda line: whole[line])
    return best, whole[best]


def main() -> None:
    """Print the chosen lines."""
    for scenario, lines in chosen(HERE / "tuning").items():
        print(scenario)
        for line, disparity in lines.values():
            print(f"    {line}    {disparity:.2f}")


if __name__ == "__main__":
    main()
