"""``lacunar select``: a mask of the weights that a method may move, and what a mask holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from lacunar.cli._options import Force, Json, Quiet
from lacunar.cli._verb import emit, say, verb
from lacunar.core.errors import BadInput

if TYPE_CHECKING:
    from lacunar.jobs.run_folder import Request

_File = Annotated[str | None, Argument(metavar="[MASK]", help="A mask to describe; without it, one is made.")]
_Score = Annotated[str, Option(help="What ranks weights (ggn_diagonal, saliency, forget_newton:damping=0.3, ...).")]
_Pick = Annotated[
    list[str] | None,
    Option(help="Which ranks are taken: share=0.05, order=smallest, level=layer, norms=false, last_layers=2, ..."),
]
_Out = Annotated[str | None, Option("--out", help="File of the mask (.safetensors); a record goes beside it.")]


@verb(
    "model", "weights", "data", "forget", "id_column", "scenario", "scenario_seed", "recipe", "mask", "seed", "device"
)
def select(
    request: Request,
    file: _File = None,
    score: _Score = "ggn_diagonal",
    pick: _Pick = None,
    out: _Out = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Choose the weights that unlearning may move, by rank of a score; or describe a mask."""
    from lacunar.catalog.registry import parse_settings
    from lacunar.jobs.select import facts, read, selecting, vacant

    if file is not None:
        _print(facts(*read(Path(file))), json)
        return
    if out is None:
        raise BadInput("--out is missing: the file that the mask is written to, e.g. mask.safetensors")
    vacant(Path(out), request, force=force)
    ready = selecting(request, score, parse_settings(",".join(pick or [])))
    mask = ready.make()
    _print(facts(mask, ready.save(Path(out), mask)), json)
    if not quiet:
        say(f"next: lacunar unlearn --where {out} ...")


def _print(found: dict[str, Any], json: bool) -> None:
    if json:
        emit(found)
        return
    for row in [*found["weights"], found["all"]]:
        typer.echo(f"{row['weight']}: {row['selected']} of {row['of']} ({row['share']:.2%})")
    if "score" in found:
        typer.echo(f"score: {found['score']['name']} {found['score']['settings']}")
    for note in found.get("notes", []):
        typer.echo(f"note: {note}")
