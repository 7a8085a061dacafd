"""``lacunar demo``: the whole story on digits, in less than a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from lacunar.cli._options import Json, Quiet
from lacunar.cli._show import tell
from lacunar.cli._verb import say, verb


@verb()
def demo(
    out: Annotated[str, Option("--out", help="Folder of the reports.")] = "runs/demo",
    oracles: Annotated[int, Option(min=3, help="Nets to retrain for comparison.")] = 5,
    seed: Annotated[int, Option(help="Seed of everything random.")] = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a small net on digits, delete mislabelled ones in several ways, and audit each against retrained nets."""
    from lacunar.jobs.demo import perform

    return tell(perform(Path(out), seed=seed, oracles=oracles, say=None if quiet else say), json=json, quiet=quiet)
