"""``lacunar run``: an experiment, methods x scenarios x seeds."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Argument, Option

from lacunar.cli._options import Json, Quiet
from lacunar.cli._verb import emit, say, verb


@verb()
def run(
    experiment: Annotated[str, Argument(metavar="EXPERIMENT", help="A TOML file, or a folder with experiment.toml.")],
    settings: Annotated[
        list[str] | None, Option("--set", help="Setting that replaces one of the file (recipe.epochs=5); repeatable.")
    ] = None,
    recipe: Annotated[str | None, Option(help="One of the named recipes of the file, such as a short one.")] = None,
    workers: Annotated[int | None, Option(min=1, help="Processes; else what the experiment says.")] = None,
    out: Annotated[str | None, Option(help="Folder of the results; else that of the experiment.")] = None,
    retry: Annotated[bool, Option("--retry", help="Run failed cells again.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run an experiment; cells that are finished are not repeated, so the same command goes on where it stopped."""
    from lacunar import lab
    from lacunar.machine.memory import keep_memory

    keep_memory()
    folder = lab.run(
        experiment, workers=workers, quiet=quiet, overrides=settings or (), recipe=recipe, out=out, retry=retry
    )
    if json:
        emit({"folder": str(folder), "records": len(lab.read(folder / "results.jsonl"))})
        return
    typer.echo(f"results: {folder / 'results.jsonl'}")
    if not quiet:
        say(f"next: lacunar report {folder}")
