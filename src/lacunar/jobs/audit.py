"""``audit``: is it gone, and does the model still work?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lacunar.auditing.audit import Audit
from lacunar.auditing.audit import audit as judge
from lacunar.core.errors import BadInput
from lacunar.core.files import alone_in
from lacunar.data.examples import Source
from lacunar.jobs import unlearn
from lacunar.jobs.job import Say
from lacunar.jobs.outcome import read_outcome
from lacunar.jobs.request import Request
from lacunar.jobs.run_folder import CHECKPOINTS, record_in, request_in, sweep
from lacunar.jobs.told import Told
from lacunar.machine.memory import keep_memory
from lacunar.report.table import control_rows, evidence_rows
from lacunar.training.checkpoint import Checkpoints
from lacunar.training.progress_report import Report
from lacunar.training.watch import Watch, Watches
from lacunar.unlearning.method import Outcome


@dataclass(frozen=True, eq=False)
class Auditing:
    """A checked request to judge what ``unlearn`` has left.

    Attributes:
        outcome: what is judged.
        test, held_out: what only the judge has.
        oracles: models to retrain for comparison; procedures: how many of them also go through the method.
        seed: of the judge's own draws.
    """

    outcome: Outcome
    test: Source
    held_out: Source | None
    oracles: int = 5
    procedures: int = 3
    seed: int = 0

    def do(self, watch: Watches) -> Audit:
        """The audit; nothing is written but checkpoints."""
        return judge(
            self.outcome,
            self.test,
            oracles=self.oracles,
            held_out=self.held_out,
            procedure_on_oracle=min(self.procedures, self.oracles),
            seed=self.seed,
            watch=watch,
        )


def check(folder: Path, request: Request, *, oracles: int = 5, procedures: int = 3, seed: int = 0) -> Auditing:
    """Pose the problem of a run folder again, and read what the run has left.

    Args:
        request: what the user repeats; the rest is read from the folder.

    Raises:
        BadInput: anything that the run used has changed since, the run is not finished, or there are no test examples.
    """
    recorded = record_in(folder)["seen"]
    job = unlearn.check(request.over(request_in(folder)))
    for name in (*job.given.seen, *recorded):
        if recorded.get(name) != job.given.seen.get(name):
            raise BadInput(f"--{name} is not what the run in {str(folder)!r} used: it has changed since, or is another")
    test = job.given.parts.test
    if test is None:
        raise BadInput("an audit needs test examples, which training never saw: give --test")
    outcome = read_outcome(folder, job.problem, job.method)
    return Auditing(outcome, test, job.given.parts.held_out, oracles, procedures, seed)


def perform(job: Auditing, folder: Path, *, seconds: float = 60.0, say: Say | None = None) -> Told:
    """Judge, and write report.html and report.json into the folder of the run.

    Raises:
        BadInput: another command is at work in the folder.
    """
    keep_memory()
    with alone_in(folder), _watching(folder, seconds, quiet=say is None) as watch:
        sweep(folder)
        found = job.do(watch)
        found.save(folder / "report.html")
    return tell(found, folder / "report.html")


def tell(found: Audit, report: Path) -> Told:
    """What is said of an audit whose report is saved."""
    lines = [f"verdict: {found.verdict}", found.claim, found.reason]
    if found.settles:
        lines.append(f"what would settle it: {found.settles}")
    facts = {"report": str(report), **found.as_dict()}
    tables = (evidence_rows(found), control_rows(found))
    return Told(facts, (*lines, f"report: {report}"), tables, code=found.exit_code)


@contextmanager
def _watching(folder: Path, seconds: float, *, quiet: bool) -> Iterator[Watches]:
    def watch(title: str) -> Watch:
        checkpoints = Checkpoints(folder / CHECKPOINTS / title.replace(" ", "-"), seconds)
        return Watch(() if quiet else (Report(title),), checkpoints)

    yield watch
    # With other options an interrupted call may have left checkpoints of trainings that are no longer asked for.
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
