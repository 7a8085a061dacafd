"""``lacunar report``: tables and a page from the results of an experiment."""

from __future__ import annotations

from typing import Annotated

from typer import Argument

from lacunar.cli._options import Json
from lacunar.cli._show import tell
from lacunar.cli._verb import verb


@verb()
def report(
    folder: Annotated[str, Argument(metavar="FOLDER", help="Folder with the results.jsonl of an experiment.")],
    json: Json = False,
) -> int:
    """Write the tables (Markdown, LaTeX, CSV) and the page of an experiment beside its results."""
    from lacunar.jobs.report import perform

    return tell(perform(folder), json=json)
