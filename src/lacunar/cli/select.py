"""``lacunar select``: a mask of the weights that a method may move, and what a mask holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from lacunar.cli._options import Force, Json, Quiet
from lacunar.cli._show import tell
from lacunar.cli._verb import verb
from lacunar.core.errors import BadInput

if TYPE_CHECKING:
    from lacunar.jobs.request import Request

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
) -> int:
    """Choose the weights that unlearning may move, by rank of a score; or describe a mask."""
    from lacunar.catalog.registry import parse_settings
    from lacunar.jobs import select

    if file is not None:
        return tell(select.describing(Path(file)), json=json)
    if out is None:
        raise BadInput("--out is missing: the file that the mask is written to, e.g. mask.safetensors")
    select.vacant(Path(out), request)
    job = select.check(request, score, parse_settings(",".join(pick or [])))
    return tell(select.perform(job, Path(out), force=force), json=json, quiet=quiet)
