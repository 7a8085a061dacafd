"""Printing results on standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

from lacunar.cli._verb import emit, say

if TYPE_CHECKING:
    from lacunar.jobs.told import Told
    from lacunar.report import Table

WIDE = 140


def tell(told: Told, *, json: bool, quiet: bool = False) -> int:
    """What a job has to say: results on standard output, hints on standard error; returns the exit code."""
    if json:
        emit(told.facts)
        return told.code
    for table in told.tables:
        show_table(table)
    if told.lines:
        typer.echo("\n".join(told.lines))
    if not told.tables and not told.lines:
        show(told.facts)
    if told.hint and not quiet:
        say(told.hint)
    return told.code


def lines(facts: Mapping[str, Any], indent: str = "") -> Iterable[str]:
    """Nested facts as indented ``name: value`` lines."""
    for name, value in facts.items():
        if isinstance(value, Mapping) and value:
            yield f"{indent}{name}:"
            yield from lines(value, indent + "  ")
        elif isinstance(value, (list, tuple)) and any(len(str(part)) > 40 for part in value):
            yield f"{indent}{name}:"
            yield from (f"{indent}  - {part}" for part in value)
        else:
            yield f"{indent}{name}: {_word(value)}"


def _word(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, (list, tuple, Mapping)):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def show(facts: Mapping[str, Any]) -> None:
    """Facts on standard output."""
    typer.echo("\n".join(lines(facts)))


def show_table(table: Table) -> None:
    """A table on standard output, as wide as the terminal."""
    from rich.console import Console

    from lacunar.report.table import terminal

    Console(width=None if sys.stdout.isatty() else WIDE).print(terminal(table))


def show_catalog(kind: str, name: str | None, *, json: bool) -> None:
    """The list of a kind of plug-ins, or the page of one."""
    from lacunar.catalog.documentation import families, page, summaries

    if name is None:
        emit(summaries(kind)) if json else typer.echo("\n".join(_by_family(families(kind))))
        return
    found = page(kind, name)
    if json:
        emit(found)
        return
    settings = {key: f"{value['default']} ({value['type']})" for key, value in found.pop("settings").items()}
    typer.echo(f"{found.pop('name')}\n\n{found.pop('about')}\n")
    show({"settings": settings, **found})


def _by_family(listed: Mapping[str, Mapping[str, str]]) -> Iterable[str]:
    width = max((len(name) for names in listed.values() for name in names), default=0)
    for i, (family, names) in enumerate(listed.items()):
        if family:
            yield from ["", f"{family}:"][i == 0 :]
        yield from (f"{'  ' * bool(family)}{name:<{width}}  {text}" for name, text in names.items())
