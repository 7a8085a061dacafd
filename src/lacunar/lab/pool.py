"""Sharing the tasks of an experiment among processes that are started for it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from lacunar.core.errors import LacunarError
from lacunar.core.store import Store
from lacunar.lab import record
from lacunar.lab.experiment import Experiment
from lacunar.lab.plan import Task, following
from lacunar.lab.progress import Progress
from lacunar.lab.worker import Bench
from lacunar.machine.memory import keep_memory


def share(
    experiment: Experiment, store: Store, todo: Sequence[Task], results: Path, progress: Progress, workers: int
) -> None:
    """Do all tasks in ``workers`` new processes with one thread each.

    Raises:
        LacunarError: a process died; what is finished stays, and repeating the run goes on from there.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(todo)
    at: dict[Connection, Task | None] = {}
    processes = []
    try:
        for _ in range(min(workers, len(waiting))):
            mine, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, experiment, store, results), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            at[mine] = None
            _give(mine, at, waiting, progress)
        while at:
            for connection in wait(list(at)):
                assert isinstance(connection, Connection)
                _take(connection, at, progress)
                _give(connection, at, waiting, progress)
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _give(connection: Connection, at: dict[Connection, Task | None], waiting: list[Task], progress: Progress) -> None:
    last = at[connection]
    if not waiting:
        del at[connection]
        connection.close()
        return
    busy = [task.case for other, task in at.items() if other is not connection and task is not None]
    task = following(waiting, None if last is None else last.case, busy)
    waiting.remove(task)
    at[connection] = task
    progress.doing(task.describe())
    connection.send(task)


def _take(connection: Connection, at: dict[Connection, Task | None], progress: Progress) -> None:
    task = at[connection]
    assert task is not None
    try:
        found = connection.recv()
    except EOFError:
        raise LacunarError(
            f"a worker process died at {task.describe()!r}; was it killed for its memory? Run the experiment again to "
            "go on, with fewer workers if it was"
        ) from None
    progress.done(task.describe(), found)


def serve(connection: Connection, experiment: Experiment, store: Store, results: Path) -> None:
    """What a worker process does: one task after the other, until its parent hangs up or is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    keep_memory()
    bench = Bench(experiment, store)
    try:
        while True:
            found = bench.do(connection.recv())
            if found is not None:
                record.append(results, found)
            connection.send(found)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return


def _end_with_parent() -> None:
    # Results and store are whole at any moment, so nothing is lost; a worker that went on would repeat later work.
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
