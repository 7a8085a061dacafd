"""``check``: everything that ``unlearn`` would check, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lacunar.catalog.registry import find, names
from lacunar.core import named
from lacunar.core.errors import NotApplicable
from lacunar.data.ids import ids_digest
from lacunar.jobs import unlearn
from lacunar.jobs.job import may_perform
from lacunar.jobs.request import Request
from lacunar.jobs.told import Told
from lacunar.jobs.unlearn import Unlearning
from lacunar.unlearning.problem import Problem


def check(request: Request, out: str | None = None, *, force: bool = False) -> Told:
    """What a request to unlearn would do: nothing is trained and nothing is written.

    Args:
        out: the folder of the run, which is checked as well.
        force: whether a run that it holds may be replaced.

    Raises:
        BadInput: anything that can be known to be wrong.
        NotApplicable: the method cannot serve this problem, or files of a data set are not there.
    """
    job = unlearn.check(request)
    if out is not None:
        may_perform(job, Path(out), force=force)
    return Told(facts(job))


def facts(job: Unlearning) -> dict[str, Any]:
    """What is about to be done, as JSON values; ids appear as count and hash only."""
    problem, request, parts = job.problem, job.given.request, job.given.parts
    others = {"test": parts.test, "held_out": parts.held_out, "tuning": parts.tuning}
    return {
        "model": {"name": request.model, "weights": named.count(named.weights(problem.model))},
        "data": {"name": request.data, "examples": len(problem.seen)},
        **{name: None if part is None else len(part) for name, part in others.items()},
        "forget": {
            "count": len(problem.forget),
            "classes": {str(label): n for label, n in problem.forget.class_counts().items()},
            "ids_sha256": ids_digest(problem.forget.ids),
        },
        "retain": len(problem.retain),
        "method": job.method.spec(),
        "recipe": problem.recipe.settings(),
        "applicable_methods": applicable(problem),
        "notes": list(problem.notes),
    }


def applicable(problem: Problem) -> list[str]:
    """The names of the methods whose needs this problem meets."""
    return [name for name in names("methods") if _applies(name, problem)]


def _applies(name: str, problem: Problem) -> bool:
    try:
        find("methods", name).check(problem)
    except NotApplicable:
        return False
    return True
