"""Tables as values, and their way to the terminal, Markdown, LaTeX and CSV."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from csv import writer
from dataclasses import dataclass

from rich.table import Table as TerminalTable
from rich.text import Text

from lacunar.core.errors import BadInput
from lacunar.core.measurement import Measurement
from lacunar.report.evidence import Evidence, Item
from lacunar.report.text import MISSING, VERDICT_WORDS, estimate, mean, quantity, typeset

_NUMBER = re.compile(r"[-−+±~≈<>≤≥]?\s*[\d∞]")
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\|*`"} | {"<": "&lt;", "&": "&amp;", "\n": " ", "\r": ""})
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"}
    | dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", (f"$^{c}$" for c in "0123456789-"), strict=True))
    | {">": r"\textgreater{}", "±": r"$\pm$", "×": r"$\times$", "∞": r"$\infty$", "−": "$-$", "–": "--", "\n": " "}
)


@dataclass(frozen=True)
class Table:
    """Rows of text under column names.

    Attributes:
        caption: what the table shows, in one sentence.
        columns: their names.
        rows: each as long as ``columns``.
        note: what a reader must know to read it: n, the kind of interval, what is missing.

    Raises:
        BadInput: a row that is not as long as the columns.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise BadInput(f"a row of {len(row)} cells does not fit {len(self.columns)} columns: {row!r}")

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Per column, whether all its filled cells begin like a number; such columns are set flush right."""
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        return tuple(_is_numeric(cell for cell in column if cell not in ("", MISSING)) for column in columns)


def _is_numeric(cells: Iterable[str]) -> bool:
    listed = list(cells)
    return bool(listed) and all(_NUMBER.match(cell) for cell in listed)


def markdown(table: Table) -> str:
    """The table in GitHub's Markdown, padded so that the source is readable too."""
    lines = [tuple(cell.translate(_MARKDOWN) for cell in row) for row in (table.columns, *table.rows)]
    widths = [max(3, *(len(line[i]) for line in lines)) for i in range(len(table.columns))]

    def line(cells: tuple[str, ...]) -> str:
        padded = (c.rjust(w) if right else c.ljust(w) for c, w, right in zip(cells, widths, table.numeric, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = tuple("-" * (w - right) + ":" * right for w, right in zip(widths, table.numeric, strict=True))
    body = [line(lines[0]), line(rule), *map(line, lines[1:])]
    title = [table.caption.translate(_MARKDOWN), ""] if table.caption else []
    note = ["", table.note.translate(_MARKDOWN)] if table.note else []
    return "\n".join([*title, *body, *note]) + "\n"


def latex(table: Table) -> str:
    """The table as a LaTeX ``table`` with the rules of booktabs."""
    rows = [_latex_row(row) for row in table.rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{table.caption.translate(_LATEX)}}}",
            rf"  \begin{{tabular}}{{{''.join('r' if right else 'l' for right in table.numeric)}}}",
            r"    \toprule",
            _latex_row(table.columns),
            r"    \midrule",
            *rows,
            r"    \bottomrule",
            r"  \end{tabular}",
            *([rf"  \par\smallskip\footnotesize {table.note.translate(_LATEX)}"] if table.note else []),
            r"\end{table}",
            "",
        ]
    )


def _latex_row(cells: tuple[str, ...]) -> str:
    return f"    {' & '.join(_latex_cell(cell) for cell in cells)} \\\\"


def _latex_cell(cell: str) -> str:
    escaped = typeset(cell).translate(_LATEX)
    # A bracket that opens a row would be read as the optional argument of the line break before it.
    return f"{{{escaped}}}" if escaped.startswith("[") else escaped


def csv(table: Table) -> str:
    """The table as CSV (RFC 4180) without caption and note; no cell is read as a formula by a spreadsheet."""
    out = io.StringIO()
    writer(out).writerows([[_harmless(cell) for cell in row] for row in (table.columns, *table.rows)])
    return out.getvalue()


def _harmless(cell: str) -> str:
    starts_formula = cell[:1] in ("=", "+", "-", "@", "\t", "\r") and not _NUMBER.match(cell)
    return f"'{cell}" if starts_formula else cell


def terminal(table: Table) -> TerminalTable:
    """The table for a rich console; cells are plain text, never rich markup."""
    shown = TerminalTable(title=Text(table.caption), caption=Text(table.note) if table.note else None)
    for name, right in zip(table.columns, table.numeric, strict=True):
        shown.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*map(Text, row))
    return shown


def evidence_rows(audit: Evidence) -> Table:
    """The items of an audit: value, oracles, gap, verdict and its code; ``*`` marks those the verdict rests on."""
    return Table(
        "Evidence",
        ("statistic", "value", "oracles", "gap", "detectable", "verdict"),
        tuple(_evidence_row(item) for item in audit.items),
        "* the verdict rests on these; intervals are 95 %; detectable: the smallest gap that would have been rejected",
    )


def _evidence_row(item: Item) -> tuple[str, ...]:
    return (
        item.name + " *" * item.mandatory,
        estimate(item.value, item.low, item.high, item.unit),
        f"{quantity(mean(item.oracles), item.unit)} (k = {len(item.oracles)})" if item.oracles else MISSING,
        estimate(item.gap, item.gap_low, item.gap_high),
        quantity(item.detectable),
        VERDICT_WORDS[item.verdict] + (f" ({item.code})" if item.code else ""),
    )


def control_rows(audit: Evidence) -> Table:
    """The checks of the auditor itself."""
    return Table(
        "Controls",
        ("control", "expected", "observed", "as expected"),
        tuple((c.name, c.expected, c.observed, "yes" if c.ok else "NO") for c in audit.controls),
    )


def measurement_rows(audit: Evidence) -> Table:
    """Further numbers of the unlearned model; a failed one is shown as failed, with its message."""
    return Table(
        "Measurements",
        ("measurement", "value", "target", "better", "n", "note"),
        tuple(_measurement_row(m) for m in audit.measurements),
    )


def _measurement_row(m: Measurement) -> tuple[str, ...]:
    return (
        m.name,
        "failed" if m.value is None else estimate(m.value, m.low, m.high, m.unit),
        quantity(m.target, m.unit),
        m.direction,
        quantity(m.n),
        m.note,
    )
