"""``lacunar compact``: a smaller net without the channels that ``prune`` has masked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lacunar.cli._options import Force, Json, Out, Quiet
from lacunar.cli._verb import emit, say, verb

if TYPE_CHECKING:
    from lacunar.jobs.run_folder import Request


@verb("weights", "model", "data", "recipe", "mask")
def compact(request: Request, out: Out, force: Force = False, json: Json = False, quiet: Quiet = False) -> None:
    """Cut dead channels out of a pruned model, which makes everything that follows cheaper."""
    from lacunar.core.files import read_json
    from lacunar.jobs import prune
    from lacunar.jobs.run_folder import BASE, COMPACT, Begin, claim, record
    from lacunar.sparsity.channels.cut import sizes_of

    ready = prune.compacting(request)
    place, wanted = Path(out), record(ready.request, ready.seen)
    if not claim(place, wanted, BASE, force=force):
        ready.save(place)
        Begin(place, wanted).write()
    result = read_json(place / COMPACT)
    if json:
        emit({"weights": str(place / BASE), **result})
        return
    typer.echo(f"weights: {place / BASE}")
    for name, sizes in zip(("parameters", "multiply-adds"), sizes_of(result), strict=True):
        if sizes is not None:
            typer.echo(f"{name}: {sizes[0]:,} before, {sizes[1]:,} after")
    if not quiet:
        say(f"next: lacunar unlearn --weights {out} --forget ids.csv --method fine_tune --out ...")
