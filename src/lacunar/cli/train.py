"""``lacunar train``: a first training that ``unlearn`` can follow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lacunar.cli._options import Force, Json, Out, Quiet, Seconds
from lacunar.cli._show import tell
from lacunar.cli._verb import say, verb

if TYPE_CHECKING:
    from lacunar.jobs.request import Request


@verb("model", "data", "test", "recipe", "scenario", "scenario_seed", "seed", "device")
def train(
    request: Request,
    out: Out,
    checkpoint_seconds: Seconds = 60.0,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a model by a recipe, and keep what is needed to forget from it later."""
    from lacunar.jobs import train
    from lacunar.jobs.job import perform

    said = None if quiet else say
    told = perform(train.check(request), Path(out), force=force, seconds=checkpoint_seconds, say=said)
    return tell(told, json=json, quiet=quiet)
