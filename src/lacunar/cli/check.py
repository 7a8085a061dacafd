"""``lacunar check``: everything that unlearn would check, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lacunar.cli._options import Json
from lacunar.cli._show import show
from lacunar.cli._verb import emit, verb

if TYPE_CHECKING:
    from lacunar.jobs.run_folder import Request


@verb(
    "model", "weights", "data", "test", "forget", "id_column", "scenario", "scenario_seed", "method", "settings",
    "recipe", "mask", "where", "seed", "device",
)  # fmt: skip
def check(request: Request, json: Json = False) -> None:
    """Check a request to unlearn without running it: nothing is trained and nothing is written."""
    from lacunar.jobs.check import unlearning

    facts = unlearning(request).facts()
    if json:
        emit(facts)
    else:
        show(facts)
