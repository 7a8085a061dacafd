"""``lacunar run``: an experiment, methods x scenarios x seeds."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Option

from lacunar.cli._options import Json, Quiet
from lacunar.cli._show import tell
from lacunar.cli._verb import verb


@verb()
def run(
    experiment: Annotated[str, Argument(metavar="EXPERIMENT", help="A TOML file, or a folder with experiment.toml.")],
    settings: Annotated[
        list[str] | None, Option("--set", help="Setting that replaces one of the file (recipe.epochs=5); repeatable.")
    ] = None,
    recipe: Annotated[str | None, Option(help="One of the named recipes of the file, such as a short one.")] = None,
    workers: Annotated[int | None, Option(min=1, help="Processes; else what the experiment says.")] = None,
    out: Annotated[str | None, Option(help="Folder of the results; else that of the experiment.")] = None,
    retry: Annotated[bool, Option("--retry", help="Do again what has failed.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Run an experiment; what is finished is not repeated, so the same command goes on where it stopped."""
    from lacunar.jobs.run import perform

    told = perform(
        experiment, overrides=settings or (), recipe=recipe, workers=workers, out=out, retry=retry, quiet=quiet
    )
    return tell(told, json=json, quiet=quiet)
