"""``lacunar audit``: is it gone, and does the model still work?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from lacunar.cli._options import Json, Quiet, Seconds
from lacunar.cli._show import show_table
from lacunar.cli._verb import emit, verb, watching

if TYPE_CHECKING:
    from lacunar.jobs.run_folder import Request


@verb(
    "model", "weights", "data", "test", "forget", "id_column", "scenario", "scenario_seed", "method", "recipe", "mask",
    "device",
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
    from lacunar.auditing.audit import audit as judge
    from lacunar.jobs.check import again
    from lacunar.jobs.run_folder import read_outcome
    from lacunar.machine.memory import keep_memory
    from lacunar.report.table import control_rows, evidence_rows

    keep_memory()
    place = Path(run)
    ready = again(place, request)
    outcome = read_outcome(place, ready.problem, ready.method)
    with watching(place, checkpoint_seconds, quiet=quiet) as watch:
        result = judge(
            outcome,
            ready.parts.test,
            oracles=oracles,
            held_out=ready.parts.validation,
            procedure_on_oracle=min(procedures, oracles),
            seed=seed,
            watch=watch,
        )
        report = result.save(place / "report.html")
    if json:
        emit({"report": str(report), **result.as_dict()})
        return result.exit_code
    show_table(evidence_rows(result))
    show_table(control_rows(result))
    typer.echo(f"verdict: {result.verdict}\n{result.claim}\n{result.reason}")
    if result.settles:
        typer.echo(f"what would settle it: {result.settles}")
    typer.echo(f"report: {report}")
    return result.exit_code
