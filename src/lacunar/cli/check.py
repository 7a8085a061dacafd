"""``lacunar check``: everything that unlearn would check, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Option

from lacunar.cli._options import UNLEARN, Force, Json, Quiet, Seconds
from lacunar.cli._show import tell
from lacunar.cli._verb import verb

if TYPE_CHECKING:
    from lacunar.jobs.request import Request

_Out = Annotated[str | None, Option("--out", help="Folder of the run, to be checked as well.")]


@verb(*UNLEARN)
def check(
    request: Request,
    out: _Out = None,
    checkpoint_seconds: Seconds = 60.0,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Check a request to unlearn without running it, with the same options: nothing is trained or written."""
    from lacunar.jobs.check import check

    return tell(check(request, out, force=force), json=json, quiet=quiet)
