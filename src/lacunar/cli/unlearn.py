"""``lacunar unlearn``: forget the asked examples, and leave a clean model in a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lacunar.cli._options import Force, Json, Out, Quiet, Seconds
from lacunar.cli._verb import emit, say, verb, watched

if TYPE_CHECKING:
    from lacunar.jobs.run_folder import Request


@verb(
    "model", "weights", "data", "test", "forget", "id_column", "scenario", "scenario_seed", "method", "settings",
    "recipe", "mask", "where", "seed", "device",
)  # fmt: skip
def unlearn(
    request: Request,
    out: Out,
    checkpoint_seconds: Seconds = 60.0,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Forget examples: a model without them, from a trained model, its training data and a list of ids."""
    from lacunar.core.files import read_json
    from lacunar.jobs import check
    from lacunar.jobs.run_folder import MODEL, OUTCOME, claim, record
    from lacunar.machine.memory import keep_memory

    keep_memory()
    ready = check.unlearning(request)
    place, wanted = Path(out), record(ready.request, ready.seen)
    if not quiet:
        for note in ready.problem.notes:
            say(f"note: {note}")
    if not claim(place, wanted, OUTCOME, force=force):
        with watched(ready.method.name(), place, wanted, checkpoint_seconds, quiet=quiet) as watch:
            ready.method(ready.problem, watch).save(place)
    result = read_json(place / OUTCOME)
    if json:
        emit({"folder": out, **result})
        return
    typer.echo(
        f"{result['method']['name']} forgot {result['forget']['count']} examples in {result['seconds']:.1f} s "
        f"({result['steps']} steps); the model is {place / MODEL}"
    )
    if not quiet:
        say(f"next: lacunar audit {out}")
