"""``lacunar compact``: a smaller net without the channels that ``prune`` has masked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lacunar.cli._options import Force, Json, Out, Quiet
from lacunar.cli._show import tell
from lacunar.cli._verb import say, verb

if TYPE_CHECKING:
    from lacunar.jobs.request import Request


@verb("weights", "model", "data", "recipe", "mask")
def compact(
    request: Request,
    out: Out,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Cut dead channels out of a pruned model, which makes everything that follows cheaper."""
    from lacunar.jobs import compact
    from lacunar.jobs.job import perform

    said = None if quiet else say
    told = perform(compact.check(request), Path(out), force=force, say=said)
    return tell(told, json=json, quiet=quiet)
