from __future__ import annotations

from dataclasses import replace
from io import StringIO

from lacunar.lab.progress import Progress
from lacunar.lab.record import FAILED
from tests.lab.test_record import JUDGEMENT, RECORD


def said(quiet: bool = False) -> list[str]:
    out = StringIO()
    with Progress(3, quiet, out) as progress:
        progress.edited({"fine_tune": 2})
        progress.doing("a")
        progress.done("a")
        progress.further(-1)
        progress.done("b", [replace(RECORD, status=FAILED, message="it broke"), JUDGEMENT])
    return out.getvalue().splitlines()


def test_one_line_per_task_off_a_terminal_and_troubles_are_told():
    first, second, third = said()
    assert first == "the source of fine_tune has changed: 2 of its cells are run again"
    assert second.startswith("[1/3, ") and second.endswith("] a")
    assert third.startswith("[2/2, ") and third.endswith("] b · failed: it broke")


def test_nothing_is_said_on_demand():
    assert said(quiet=True) == []


class Terminal(StringIO):
    """Text that passes for a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_lines_for_troubles_only():
    out = Terminal()
    with Progress(2, quiet=False, out=out) as progress:
        progress.doing("first")
        progress.done("first")
        progress.further(3)
        progress.done("second", [replace(RECORD, status=FAILED, message="it broke")])
    assert "[2/5, " in out.getvalue() and "second · failed: it broke" in out.getvalue()
    assert "[1/" not in out.getvalue()
