"""Who does the tasks: this process, or several new ones; another engine is one more class with the same two verbs."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.connection import Connection, wait
from typing import Protocol

import torch

from lacunar.core.store import Store
from lacunar.lab.experiment import Experiment
from lacunar.lab.plan import Task
from lacunar.lab.record import Line
from lacunar.lab.worker import Worker
from lacunar.machine.memory import keep_memory


class Pool(Protocol):
    """Workers with numbers from 0; each does one task at a time and keeps at hand what the last one needed."""

    @property
    def workers(self) -> int:
        """How many there are."""

    def submit(self, worker: int, task: Task) -> Future[list[Line]]:
        """Give a task to a worker that has none. The future raises BrokenExecutor if the worker dies of it."""

    def close(self) -> None:
        """End all workers, whatever they are at."""


class Here:
    """This process: a task is done before :meth:`submit` returns, with as many threads as torch is set to use."""

    workers = 1

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def submit(self, worker: int, task: Task) -> Future[list[Line]]:
        done: Future[list[Line]] = Future()
        done.set_result(self._worker.do(task))
        return done

    def close(self) -> None:
        pass


class Processes:
    """New processes of this machine with one thread each, which end with this one."""

    def __init__(self, workers: int, experiment: Experiment, store: Store) -> None:
        self.workers = workers
        context = multiprocessing.get_context("spawn")
        self._lines = [context.Pipe() for _ in range(workers)]
        # An executor gives a task to any of its processes, so each has one, and cases stay where they are at hand.
        self._executors = [
            ProcessPoolExecutor(1, context, initializer=_begin, initargs=(theirs, experiment, store))
            for _, theirs in self._lines
        ]

    def submit(self, worker: int, task: Task) -> Future[list[Line]]:
        return self._executors[worker].submit(_do, task)

    def close(self) -> None:
        for mine, theirs in self._lines:
            mine.close()
            theirs.close()
        for executor in self._executors:
            executor.shutdown(cancel_futures=True)


_WORKER: list[Worker] = []
"""The worker of a process that :class:`Processes` began."""


def _begin(line: Connection, experiment: Experiment, store: Store) -> None:
    threading.Thread(target=_end_with_parent, args=(line,), daemon=True).start()
    torch.set_num_threads(1)
    keep_memory()
    _WORKER.append(Worker(experiment, store))


def _do(task: Task) -> list[Line]:
    return _WORKER[0].do(task)


def _end_with_parent(line: Connection) -> None:
    # Results and store are whole at any moment, so nothing is lost; a worker that went on would repeat later work.
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel, line])
    os._exit(1)
