"""Running an experiment: alone or with other processes, to the end or until it is interrupted, and then on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from pathlib import Path

from lacunar.core.errors import LacunarError
from lacunar.core.files import write_json
from lacunar.core.store import Store
from lacunar.lab.agenda import Agenda
from lacunar.lab.cell import Case, cells
from lacunar.lab.edited_sources import edited
from lacunar.lab.experiment import Experiment, file_of
from lacunar.lab.plan import Plan, Task
from lacunar.lab.pool import Here, Pool, Processes
from lacunar.lab.progress import Progress
from lacunar.lab.record import Line
from lacunar.lab.results import FILE, Results, append
from lacunar.lab.worker import Worker
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

    What is in ``results.jsonl`` already is not done again, so an interrupted run goes on when it is repeated, and a
    judge that is added looks at models that are kept. Trained models and outcomes are kept in the folder ``store``
    beside the experiment, or in the one that LACUNAR_STORE names. A method, judge, scenario, data set or model whose
    source has changed counts as another one.

    Args:
        path: a TOML file (see :class:`~lacunar.lab.experiment.Experiment`), or a folder with an ``experiment.toml``.
        workers: processes with one thread each; None is what the experiment says. With one, the work is done in this
            process, with as many threads as torch is set to use.
        quiet: say nothing on standard error.
        overrides: settings that replace those of the file, e.g. ``["recipe.epochs=5"]``.
        recipe: one of the file's named ``recipes``; None is its ``recipe``.
        out: where the results go; None is the folder of the experiment.
        retry: do again what has failed.

    Raises:
        BadInput, NotApplicable: something in the experiment cannot be used; nothing was trained.
        LacunarError: a process died; what is finished stays, and repeating the run goes on from there.
    """
    experiment = Experiment.read(path, overrides, recipe)
    home = file_of(path).resolve().parent
    folder = home if out is None else Path(out)
    store = Store(Path(os.environ.get(STORE) or home / "store"))
    worker, results = Worker(experiment, store), folder / FILE
    plan = Plan(cells(experiment), experiment.evaluators, experiment.oracles, worker.protocol)
    known = Results.of(results)
    todo = plan.tasks(known, retry)
    if not todo:
        return folder
    worker.check(list(dict.fromkeys(task.case for task in todo)))
    folder.mkdir(parents=True, exist_ok=True)
    count = min(workers or experiment.workers, len(todo))
    write_json(folder / "environment.json", {**environment(worker.device), "workers": count})
    with Progress(len(todo), quiet) as progress:
        progress.edited(edited(plan.cells, plan.protocol, known))
        work(_pool(count, worker), todo, results, progress)
        # A model that was made again may have come out otherwise; what judges said of the old one does not count then.
        if again := plan.tasks(Results.of(results)):
            progress.further(len(again))
            work(_pool(count, worker), again, results, progress)
    return folder


def _pool(count: int, worker: Worker) -> Pool:
    return Here(worker) if count == 1 else Processes(count, worker.experiment, worker.store)


def work(pool: Pool, todo: Sequence[Task], results: Path, progress: Progress) -> None:
    """Let the workers of ``pool`` do all tasks, write what they say, and close it.

    Raises:
        LacunarError: a worker died.
    """
    agenda, idle = Agenda(todo), list(range(pool.workers))
    at: dict[Future[list[Line]], tuple[int, Task]] = {}
    last: dict[int, Case] = {}
    try:
        while True:
            for worker in list(idle):
                task = agenda.take(last.get(worker), [task.case for _, task in at.values()])
                if task is None:
                    break
                progress.doing(task.describe())
                idle.remove(worker)
                last[worker] = task.case
                at[pool.submit(worker, task)] = worker, task
            if not at:
                return
            for future in wait(at, return_when=FIRST_COMPLETED).done:
                worker, task = at.pop(future)
                _finish(task, future, agenda, results, progress)
                idle.append(worker)
    finally:
        pool.close()


def _finish(task: Task, future: Future[list[Line]], agenda: Agenda, results: Path, progress: Progress) -> None:
    try:
        found = future.result()
    except BrokenExecutor:
        raise LacunarError(
            f"a worker process died at {task.describe()!r}; was it killed for its memory? Run the experiment again to "
            "go on, with fewer workers if it was"
        ) from None
    for line in found:
        append(results, line)
    progress.done(task.describe(), found)
    progress.further(-len(agenda.finished(task, found)))
