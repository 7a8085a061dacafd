"""How speed is measured here: equal results first, then interleaved rounds, ratios within a round, medians and ranges.

The primary number is processor seconds of the whole process, all threads; wall time, minor page faults and peak
memory stand beside it. A variant runs in this process (:func:`here`) or, when it needs its own allocator or its own
peak memory, in one that stays alive between rounds (:class:`Elsewhere`, answered by :func:`serve`).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lacunar.core.files import write_json, write_text
from lacunar.machine.environment import environment
from lacunar.machine.memory import SWITCH, TUNED_BY_USER

ROUNDS = 5


@dataclass(frozen=True)
class Use:
    """What one run of a variant took.

    Attributes:
        cpu_seconds: of the process, all threads.
        wall_seconds: includes what other processes took from this one.
        minor_faults: pages that the kernel had to map in.
        peak_bytes: largest resident set of the process so far: of one variant only if it runs elsewhere.
    """

    cpu_seconds: float
    wall_seconds: float
    minor_faults: int
    peak_bytes: int


@dataclass(frozen=True)
class Ratio:
    """How many times faster than the baseline: over the rounds, the median with its range."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


Variant = Callable[[], Use]


def here(work: Callable[[], object]) -> Variant:
    """A variant that runs ``work`` in this process; synchronise inside ``work`` if it uses an accelerator."""

    def run() -> Use:
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        after = resource.getrusage(resource.RUSAGE_SELF)
        return Use(cpu, wall, after.ru_minflt - faults, after.ru_maxrss * 1024)

    return run


class Elsewhere:
    """A variant in its own process: ``python *arguments``, a program that ends in :func:`serve`."""

    def __init__(self, *arguments: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, *arguments], stdin=pipe, stdout=pipe, text=True)

    def __call__(self) -> Use:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args} ended with exit code {self.process.wait()}")
        return Use(**json.loads(answer))

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()


def serve(work: Callable[[], object]) -> None:
    """Run ``work`` once for each line on standard input and answer with its :class:`Use`; its own output is dropped."""
    run = here(work)
    for _ in sys.stdin:
        with contextlib.redirect_stdout(None):
            use = run()
        print(json.dumps(asdict(use)), flush=True)


def race(
    variants: Mapping[str, Variant], rounds: int = ROUNDS, warmups: int = 1, seed: int = 0
) -> list[dict[str, Any]]:
    """Run every variant once per round, in shuffled order, after ``warmups`` rounds that do not count.

    The caller has checked that all variants give the same result: a wrong fast path has no time.

    Returns:
        One row per run: round, position in the round, variant, its use, and the load average before it.
    """
    shuffler = random.Random(seed)
    for _ in range(warmups):
        for run in variants.values():
            run()
    rows = []
    for number in range(rounds):
        for position, name in enumerate(shuffler.sample(list(variants), len(variants))):
            load = os.getloadavg()[0]
            use = variants[name]()
            rows.append({"round": number, "position": position, "variant": name, **asdict(use), "load": round(load, 2)})
    return rows


def ratio(rows: Iterable[Mapping[str, Any]], baseline: str, variant: str, of: str = "cpu_seconds") -> Ratio:
    """The use of ``baseline`` over that of ``variant``, round by round; > 1 means that ``variant`` is cheaper."""
    by_round: dict[int, dict[str, float]] = {}
    for row in rows:
        by_round.setdefault(row["round"], {})[row["variant"]] = row[of]
    ratios = [uses[baseline] / uses[variant] for uses in by_round.values()]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def median(rows: Iterable[Mapping[str, Any]], variant: str, of: str = "cpu_seconds") -> float:
    """The median use of ``variant`` over the rounds."""
    return statistics.median(row[of] for row in rows if row["variant"] == variant)


def conditions() -> dict[str, Any]:
    """Versions, hardware, threads, commit, allocator variables and load: what numbers must be read with."""
    variables = {name: os.environ.get(name) for name in (*TUNED_BY_USER, SWITCH, "OMP_NUM_THREADS")}
    return {**environment(), "allocator": variables, "load_average": [round(x, 2) for x in os.getloadavg()]}


def renew(results: Path, shown: Path, rows: Sequence[Mapping[str, Any]], page: Callable[[list[Any]], str]) -> None:
    """Write ``results``, conditions first, unless there are no new rows; then the page of what it holds."""
    if rows:
        lines = [{"what": "conditions", **conditions()}, *rows]
        write_text(results, "".join(json.dumps(line) + "\n" for line in lines))
    _, *kept = (json.loads(line) for line in results.read_text(encoding="utf-8").splitlines())
    write_text(shown, page(kept))


def write(folder: Path, rows: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> None:
    """Write results.jsonl and environment.json."""
    write_text(folder / "results.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write_json(folder / "environment.json", found)


def read(folder: Path) -> list[dict[str, Any]]:
    """The rows of results.jsonl."""
    return [json.loads(line) for line in (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()]
