"""``lacunar audit``: is it gone, and does the model still work?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from lacunar.cli._options import Json, Quiet, Seconds
from lacunar.cli._show import tell
from lacunar.cli._verb import say, verb

if TYPE_CHECKING:
    from lacunar.jobs.request import Request


@verb(
    "model", "weights", "data", "test", "tuning", "forget", "id_column", "scenario", "scenario_seed", "method",
    "recipe", "mask", "device",
)  # fmt: skip
def audit(
    run: Annotated[str, Argument(metavar="RUN", help="Folder of a finished lacunar unlearn.")],
    request: Request,
    oracles: Annotated[int, Option(help="Models to retrain for comparison: 0, or at least 3.")] = 5,
    procedures: Annotated[int, Option(help="How many of them also go through the method: 0, or at least 2.")] = 3,
    seed: Annotated[int, Option(help="Seed of the judge's own draws.")] = 0,
    checkpoint_seconds: Seconds = 60.0,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare an unlearned model with retrained ones: a verdict, report.html and report.json in the run folder.

    Code that the run used (import strings) must be named again; everything else is read from the folder.
    """
    from lacunar.jobs import audit

    place = Path(run)
    job = audit.check(place, request, oracles=oracles, procedures=procedures, seed=seed)
    told = audit.perform(job, place, seconds=checkpoint_seconds, say=None if quiet else say)
    return tell(told, json=json, quiet=quiet)
