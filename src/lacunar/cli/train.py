"""``lacunar train``: a first training that ``unlearn`` can follow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lacunar.cli._options import Force, Json, Out, Quiet, Seconds
from lacunar.cli._verb import emit, say, verb, watched

if TYPE_CHECKING:
    from lacunar.jobs.run_folder import Request


@verb("model", "data", "test", "recipe", "scenario", "scenario_seed", "seed", "device")
def train(
    request: Request,
    out: Out,
    checkpoint_seconds: Seconds = 60.0,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model by a recipe, and keep what is needed to forget from it later."""
    from lacunar.core.weights import load_model, save_model
    from lacunar.jobs import check
    from lacunar.jobs.run_folder import BASE, claim, record
    from lacunar.machine.memory import keep_memory

    keep_memory()
    ready = check.training(request)
    place, wanted = Path(out), record(ready.request, ready.seen)
    if claim(place, wanted, BASE, force=force):
        model = load_model(place / BASE, ready.recipe.fresh(0)).to(ready.examples.on)
    else:
        with watched("training", place, wanted, checkpoint_seconds, quiet=quiet) as watch:
            model = ready.recipe.fit(ready.examples, ready.request.seed, watch=watch)
            save_model(place / BASE, model)
    scores = ready.scores(model)
    if json:
        emit({"weights": str(place / BASE), **scores})
        return
    typer.echo(f"weights: {place / BASE}")
    for name, value in scores.items():
        typer.echo(f"{name}: {value:.3f}")
    if not quiet:
        say(f"next: lacunar unlearn --weights {out} --forget ids.csv --method l1_sparse --out ...")
