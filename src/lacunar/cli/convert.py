"""``lacunar convert``: a checkpoint of torch as safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from lacunar.cli._options import Json
from lacunar.cli._show import tell
from lacunar.cli._verb import verb


@verb()
def convert(
    file: Annotated[str, Argument(help="Checkpoint of torch (.pt, .pth, .bin, .ckpt), or .safetensors to rename.")],
    out: Annotated[str, Option("--out", help="File to write (.safetensors).")],
    key: Annotated[str, Option("--key", help="Entry of a nested checkpoint that holds the weights.")] = "",
    strip: Annotated[str, Option("--strip", help="Beginning to take off the names of the tensors.")] = "",
    force: Annotated[bool, Option("--force", help="Replace the file.")] = False,
    json: Json = False,
) -> int:
    """Turn a checkpoint of torch into safetensors, in a process that can hold tensors and nothing else."""
    from lacunar.jobs.convert import perform

    return tell(perform(Path(file), Path(out), key, strip, force), json=json)
