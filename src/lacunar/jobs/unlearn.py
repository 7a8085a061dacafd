"""``unlearn``: forget the asked examples, and leave a clean model in a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import join
from typing import Any, ClassVar

from lacunar.catalog.source_code import class_digest
from lacunar.core.errors import BadInput
from lacunar.core.files import read_json
from lacunar.jobs import run_folder, select, values
from lacunar.jobs.job import Job
from lacunar.jobs.posing import problem_of
from lacunar.jobs.request import Request
from lacunar.jobs.run_folder import MODEL, OUTCOME
from lacunar.jobs.told import Told
from lacunar.jobs.words import Given, needed, read
from lacunar.training.settings import Descent
from lacunar.training.watch import Watch
from lacunar.unlearning.method import Method, Outcome
from lacunar.unlearning.problem import Problem


@dataclass(frozen=True, eq=False)
class Unlearning(Job[Outcome]):
    """A checked request to unlearn.

    Attributes:
        given: what was named; its request has the method's settings in full.
        problem, method: what is asked and what is to be run.
    """

    given: Given
    problem: Problem
    method: Method

    result: ClassVar[str] = OUTCOME

    @property
    def title(self) -> str:
        return self.method.name()

    def record(self) -> dict[str, Any]:
        return run_folder.record(self.given.request, self.given.seen)

    @property
    def notes(self) -> tuple[str, ...]:
        return self.problem.notes

    def do(self, watch: Watch) -> Outcome:
        return self.method(self.problem, watch)

    def save(self, folder: Path, made: Outcome) -> None:
        made.save(folder)

    def tell(self, folder: Path) -> Told:
        found = read_json(folder / OUTCOME)
        line = (
            f"{found['method']['name']} forgot {found['forget']['count']} examples in {found['seconds']:.1f} s "
            f"({found['steps']} steps); the model is {folder / MODEL}"
        )
        return Told({"folder": str(folder), **found}, (line,), hint=self._hint(folder))

    def _hint(self, folder: Path) -> str:
        command = join(["lacunar", "audit", str(folder), *self.given.request.code_options()])
        if self.given.parts.test is None:
            return f"an audit needs test examples: repeat them after {command} --test"
        return f"next: {command}"


def check(request: Request) -> Unlearning:
    """Check a request to unlearn: read everything, pose the problem, ask the method whether it applies.

    Raises:
        BadInput: anything that can be known to be wrong.
        NotApplicable: the method cannot serve this problem, or files of a data set are not there.
    """
    name = needed(request.method, "--method")
    method = values.method(name, request.settings)
    _check_descent(method)
    needed(request.weights, "--weights")
    # In what order the model was trained is no part of a request to unlearn.
    given = read(request.insisting("seed"))
    check_where(given)
    problem = problem_of(given)
    method.check(problem)
    return Unlearning(_with(given, name, method), problem, method)


def check_where(given: Given) -> None:
    """Raise :class:`BadInput` when the record beside a ``where`` mask says that it was selected on another model."""
    if given.request.where is None:
        return
    _, record = select.read_mask(Path(given.request.where))
    chosen_on = record.get("seen", {}).get("weights")
    if chosen_on is not None and chosen_on != given.seen["weights"]:
        raise BadInput(
            f"the mask {given.request.where!r} was selected on another model than these weights, see "
            f"{str(select.beside(Path(given.request.where)))!r}; select again with --weights {given.request.weights}"
        )


def _with(given: Given, name: str, method: Method) -> Given:
    # A class of plain code is named by its import string, which is the user's to repeat.
    own = values.is_code("methods", name)
    request = replace(given.request, method=name if own else method.name(), settings=method.settings())
    seen: Mapping[str, str] = {"method": class_digest(type(method))} if own else {}
    return replace(given, request=request, seen={**given.seen, **seen})


def _check_descent(method: Method) -> None:
    Descent.of(method)
    for held in method.held():
        if isinstance(held, Method):
            _check_descent(held)
