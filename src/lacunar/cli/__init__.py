"""The command line: one file per verb, each of which parses, calls and prints.

Exit codes: 0 ok, 1 bug, 2 bad input, 3 an audit failed, 4 an audit is inconclusive, 130 interrupted and resumable.
"""

from __future__ import annotations

from typing import Annotated

import typer

import lacunar
from lacunar.cli import (
    audit,
    check,
    compact,
    convert,
    datasets,
    demo,
    doctor,
    methods,
    metrics,
    prune,
    report,
    run,
    select,
    train,
    unlearn,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(lacunar.__version__)
        raise typer.Exit


app = typer.Typer(
    name="lacunar",
    help="Delete training data from a trained PyTorch model and show, with evidence, whether it worked.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (
    demo.demo,
    train.train,
    prune.prune,
    compact.compact,
    convert.convert,
    select.select,
    unlearn.unlearn,
    audit.audit,
    check.check,
    run.run,
    report.report,
    methods.methods,
    metrics.metrics,
    datasets.datasets,
    doctor.doctor,
):
    app.command()(verb)


@app.callback()
def _lacunar(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None: ...


def main() -> None:
    """Run the command line."""
    app()
