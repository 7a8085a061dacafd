"""``lacunar demo``: the whole story on digits, in less than a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from lacunar.cli._options import Json, Quiet
from lacunar.cli._show import show_table
from lacunar.cli._verb import emit, say, verb


@verb()
def demo(
    out: Annotated[str, Option("--out", help="Folder of the reports.")] = "runs/demo",
    oracles: Annotated[int, Option(min=3, help="Nets to retrain for comparison.")] = 5,
    seed: Annotated[int, Option(help="Seed of everything random.")] = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a small net on digits, delete mislabelled ones in several ways, and audit each against retrained nets."""
    import torch

    from lacunar.jobs.demo import SHOWN, demonstrate
    from lacunar.machine.memory import keep_memory

    keep_memory()
    torch.set_num_threads(1)  # nets this small only wait for further threads
    found = demonstrate(seed, oracles, (lambda line: None) if quiet else say)
    report = found.save(Path(out))
    if json:
        emit(
            {"report": str(report), "rows": [dict(zip(found.table.columns, r, strict=True)) for r in found.table.rows]}
        )
        return
    show_table(found.table)
    typer.echo(f"{SHOWN}: {found.audits[SHOWN].verdict}: {found.audits[SHOWN].reason}")
    typer.echo(f"report: {report}")
