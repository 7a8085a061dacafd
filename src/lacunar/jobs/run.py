"""``run``: an experiment, methods x scenarios x seeds."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import join

from lacunar import lab
from lacunar.jobs.told import Told
from lacunar.machine.memory import keep_memory


def perform(
    experiment: str,
    *,
    overrides: Sequence[str] = (),
    recipe: str | None = None,
    workers: int | None = None,
    out: str | None = None,
    retry: bool = False,
    quiet: bool = False,
) -> Told:
    """Run an experiment, or go on with it; see :func:`lacunar.lab.run`.

    Raises:
        BadInput: an experiment that cannot be, before anything is computed.
    """
    keep_memory()
    folder = lab.run(experiment, workers=workers, quiet=quiet, overrides=overrides, recipe=recipe, out=out, retry=retry)
    results = folder / "results.jsonl"
    facts = {"folder": str(folder), "records": len(lab.read(results))}
    return Told(facts, (f"results: {results}",), hint=f"next: {join(['lacunar', 'report', str(folder)])}")
