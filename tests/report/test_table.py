from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console

from lacunar.core.errors import BadInput
from lacunar.report import table as tables
from lacunar.report.table import Table
from tests.report.audits import failed, inconclusive, passed

TABLE = Table(
    "Accuracy & gap",
    ("method", "test", "gap", "<note>"),
    (
        ("fine_tune", "93.1 ± 0.4 %", "-0.5", "a|b"),
        ("l1_sparse", "–", "12", "100 % of $5 {x} ~ ^ \\"),
        ("retrain", "95 %", "", "=cmd()"),
    ),
    "n = 3_000",
)


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(BadInput, match="a row of 1 cells does not fit 2 columns"):
        Table("", ("a", "b"), (("1",),))


def test_columns_of_numbers_are_known():
    assert TABLE.numeric == (False, True, True, False)
    assert Table("", ("a",), ()).numeric == (False,)
    assert Table("", ("a",), (("–",),)).numeric == (False,)


def test_markdown():
    assert tables.markdown(Table("C", ("a", "n"), (("x|y\n<i>", "-1"),), "N *")) == (
        "C\n"
        "\n"
        "| a           |   n |\n"
        "| ----------- | --: |\n"
        "| x\\|y &lt;i> |  -1 |\n"
        "\n"
        "N \\*\n"
    )  # fmt: skip


def test_markdown_rows_have_as_many_bars_as_the_head():
    rows = [line for line in tables.markdown(TABLE).splitlines() if line.startswith("|")]
    assert len(rows) == 5
    assert {line.replace("\\|", "").count("|") for line in rows} == {5}


def test_latex_escapes_and_aligns():
    written = tables.latex(TABLE)
    assert r"\begin{tabular}{lrrl}" in written
    assert r"\caption{Accuracy \& gap}" in written
    assert r"fine\_tune & 93.1 $\pm$ 0.4 \% & $-$0.5 & a|b \\" in written
    assert r"100 \% of \$5 \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{} \\" in written
    assert r"n = 3\_000" in written


def test_latex_bracket_is_no_argument_of_the_line_break():
    assert "    {[0.1, 0.2]} \\\\" in tables.latex(Table("", ("x",), (("[0.1, 0.2]",),)))


def test_csv_reads_back_and_holds_no_formula():
    rows = list(csv.reader(io.StringIO(tables.csv(TABLE))))
    assert rows[0] == ["method", "test", "gap", "<note>"]
    assert rows[1] == ["fine_tune", "93.1 ± 0.4 %", "-0.5", "a|b"]
    assert rows[3][3] == "'=cmd()"
    assert tables.csv(Table("", ("x",), (("-1",), ("-x()",), ('a "b", c',)))).splitlines() == [
        "x",
        "-1",
        "'-x()",
        '"a ""b"", c"',
    ]


def printed(table: Table) -> str:
    console = Console(width=160, file=io.StringIO(), force_terminal=False)
    console.print(tables.terminal(table))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_terminal_reads_no_markup():
    assert "[bold]x[/bold] [/]" in printed(Table("c", ("a",), (("[bold]x[/bold] [/]",),)))


def test_evidence_rows():
    table = tables.evidence_rows(failed())
    first = dict(zip(table.columns, table.rows[0], strict=True))
    assert first["statistic"] == "residue_did *"
    assert first["verdict"] == "fail (RESIDUE)"
    assert first["oracles"] == "0.0212 (k = 5)"
    assert first["gap"].startswith("1.4")
    assert len(table.rows) == len(failed().items)


def test_without_oracles_there_is_no_gap():
    row = dict(
        zip(tables.evidence_rows(inconclusive()).columns, tables.evidence_rows(inconclusive()).rows[0], strict=True)
    )
    assert (row["oracles"], row["gap"], row["detectable"]) == ("–", "–", "–")


def test_control_rows_say_what_went_wrong():
    assert {row[3] for row in tables.control_rows(passed()).rows} == {"yes"}
    assert "NO" in {row[3] for row in tables.control_rows(failed()).rows}


def test_a_failed_measurement_is_shown_with_its_message():
    rows = tables.measurement_rows(failed()).rows
    assert ("failed", "the attack found 3 non-members and needs 20") in {(row[1], row[5]) for row in rows}
