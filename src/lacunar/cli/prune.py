"""``lacunar prune``: a sparse model with its mask, which ``unlearn`` and ``compact`` can follow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lacunar.cli._options import Force, Json, Out, Quiet, Seconds
from lacunar.cli._show import tell
from lacunar.cli._verb import say, verb

if TYPE_CHECKING:
    from lacunar.jobs.request import Request


@verb(
    "model", "weights", "data", "test", "recipe", "scenario", "scenario_seed", "pruner", "rewind", "finetune", "mask",
    "seed", "device",
)  # fmt: skip
def prune(
    request: Request,
    out: Out,
    checkpoint_seconds: Seconds = 60.0,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Make a trained model sparse; without --weights, train one first."""
    from lacunar.jobs import prune
    from lacunar.jobs.job import perform

    said = None if quiet else say
    told = perform(prune.check(request), Path(out), force=force, seconds=checkpoint_seconds, say=said)
    return tell(told, json=json, quiet=quiet)
