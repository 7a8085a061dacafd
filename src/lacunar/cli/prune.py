"""``lacunar prune``: a sparse model with its mask, which ``unlearn`` and ``compact`` can follow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lacunar.cli._options import Force, Json, Out, Quiet, Seconds
from lacunar.cli._verb import emit, say, verb, watched

if TYPE_CHECKING:
    from lacunar.jobs.run_folder import Request


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
) -> None:
    """Make a trained model sparse; without --weights, train one first."""
    from lacunar.core.files import read_json
    from lacunar.jobs import prune
    from lacunar.jobs.run_folder import BASE, PRUNED, claim, record
    from lacunar.machine.memory import keep_memory

    keep_memory()
    ready = prune.pruning(request)
    place, wanted = Path(out), record(ready.request, ready.seen)
    if not claim(place, wanted, BASE, force=force):
        with watched("pruning", place, wanted, checkpoint_seconds, quiet=quiet) as watch:
            ready.save(place, *ready.make(watch))
    result = read_json(place / PRUNED)
    if json:
        emit({"weights": str(place / BASE), **result})
        return
    density = result["density"]
    typer.echo(f"weights: {place / BASE}")
    typer.echo(f"live: {density['scope']:.4f} of the weights in scope, {density['net']:.4f} of the whole net")
    for name in (n for n in result if n.startswith(("train_", "test_"))):
        typer.echo(f"{name}: {result[name]:.3f}")
    if not quiet:
        say(f"next: lacunar unlearn --weights {out} --forget ids.csv --method fine_tune --out ...")
