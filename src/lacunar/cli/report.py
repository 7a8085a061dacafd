"""``lacunar report``: tables and a page from the results of an experiment."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Argument

from lacunar.cli._options import Json
from lacunar.cli._verb import emit, verb


@verb()
def report(
    folder: Annotated[str, Argument(metavar="FOLDER", help="Folder with the results.jsonl of an experiment.")],
    json: Json = False,
) -> None:
    """Write the tables (Markdown, LaTeX, CSV) and the page of an experiment beside its results."""
    from lacunar.lab.pages import write

    written = [str(path) for path in write(folder)]
    if json:
        emit({"written": written})
    else:
        typer.echo("\n".join(written))
