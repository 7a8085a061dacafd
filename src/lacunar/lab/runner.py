"""Running an experiment: alone or with other processes, to the end or until it is interrupted, and then on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lacunar.core.files import write_json
from lacunar.core.store import Store
from lacunar.lab import record
from lacunar.lab.experiment import Experiment, file_of
from lacunar.lab.plan import Cell, Task, cases, cells, following, tasks
from lacunar.lab.pool import share
from lacunar.lab.progress import Progress
from lacunar.lab.record import FAILED, Record
from lacunar.lab.worker import Bench
from lacunar.machine.environment import environment

STORE = "LACUNAR_STORE"


def run(
    path: Path | str,
    *,
    workers: int | None = None,
    quiet: bool = False,
    overrides: Sequence[str] = (),
    recipe: str | None = None,
    out: Path | str | None = None,
    retry: bool = False,
) -> Path:
    """Run an experiment and return the folder of its results: ``results.jsonl`` and ``environment.json``.

    Cells that are in ``results.jsonl`` already are not run again, so an interrupted run goes on when it is repeated.
    Trained models are kept in the folder ``store`` beside the experiment, or in the one that LACUNAR_STORE names.

    Args:
        path: a TOML file (see :class:`~lacunar.lab.experiment.Experiment`), or a folder with an ``experiment.toml``.
        workers: processes with one thread each; None is what the experiment says. With one, the work is done in this
            process, with as many threads as torch is set to use.
        quiet: say nothing on standard error.
        overrides: settings that replace those of the file, e.g. ``["recipe.epochs=5"]``.
        recipe: one of the file's named ``recipes``; None is its ``recipe``.
        out: where the results go; None is the folder of the experiment.
        retry: run cells again that have failed.

    Raises:
        BadInput, NotApplicable: something in the experiment cannot be used; nothing was trained.
    """
    experiment = Experiment.read(path, overrides, recipe)
    home = file_of(path).resolve().parent
    folder = home if out is None else Path(out)
    results = folder / record.FILE
    store = Store(Path(os.environ.get(STORE) or home / "store"))
    bench = Bench(experiment, store)
    pending = unfinished(cells(experiment), bench.protocol, record.read(results), retry)
    if not pending:
        return folder
    bench.check([case for case in cases(experiment) if any(cell.case == case for cell in pending)])
    folder.mkdir(parents=True, exist_ok=True)
    count = workers or experiment.workers
    write_json(folder / "environment.json", {**environment(bench.device), "workers": count})
    todo = tasks(pending, experiment.oracles)
    with Progress(len(todo), quiet) as progress:
        if count == 1:
            alone(bench, todo, results, progress)
        else:
            share(experiment, store, todo, results, progress, count)
    return folder


def unfinished(wanted: Sequence[Cell], protocol: str, known: Sequence[Record], retry: bool) -> list[Cell]:
    """The cells that have no record yet; with ``retry`` also those whose last record is a failure."""
    done = {key for key, last in record.latest(known).items() if not (retry and last.status == FAILED)}
    return [cell for cell in wanted if cell.key(protocol) not in done]


def alone(bench: Bench, todo: Sequence[Task], results: Path, progress: Progress) -> None:
    """Do all tasks in this process."""
    waiting, last = list(todo), None
    while waiting:
        task = following(waiting, last, ())
        waiting.remove(task)
        last = task.case
        progress.doing(task.describe())
        found = bench.do(task)
        if found is not None:
            record.append(results, found)
        progress.done(task.describe(), found)
