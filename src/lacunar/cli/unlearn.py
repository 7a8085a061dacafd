"""``lacunar unlearn``: forget the asked examples, and leave a clean model in a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lacunar.cli._options import UNLEARN, Force, Json, Out, Quiet, Seconds
from lacunar.cli._show import tell
from lacunar.cli._verb import say, verb

if TYPE_CHECKING:
    from lacunar.jobs.request import Request


@verb(*UNLEARN)
def unlearn(
    request: Request,
    out: Out,
    checkpoint_seconds: Seconds = 60.0,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Forget examples: a model without them, from a trained model, its training data and a list of ids."""
    from lacunar.jobs import unlearn
    from lacunar.jobs.job import perform

    said = None if quiet else say
    told = perform(unlearn.check(request), Path(out), force=force, seconds=checkpoint_seconds, say=said)
    return tell(told, json=json, quiet=quiet)
