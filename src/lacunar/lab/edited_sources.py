"""Which plug-ins were edited since results were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lacunar.lab.cell import Cell
from lacunar.lab.results import Results


def edited(cells: Sequence[Cell], protocol: str, known: Results) -> Mapping[str, int]:
    """By the line of each plug-in whose source has changed since: how many of these cells were run with the old one."""
    last = {record.names: record for record in known.records if record.protocol == protocol}
    found: dict[str, int] = {}
    for cell in cells:
        record = last.get((*cell.case.lines().values(), cell.name, cell.case.seed, cell.oracle))
        for part, code in cell.code().items():
            plugin = cell.plugins()[part]
            if record is not None and record.code.get(part, code) != code and plugin is not None:
                found[plugin.line()] = found.get(plugin.line(), 0) + 1
    return found
