"""The problem that a request poses, with notes on what was asked."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace

import torch

from lacunar.core.errors import BadInput, sample_of
from lacunar.data.duplicates import prints
from lacunar.data.examples import Examples, Source
from lacunar.jobs.words import Given, needed
from lacunar.unlearning.problem import Problem, check_head
from lacunar.unlearning.scenario import Posed


def problem_of(given: Given) -> Problem:
    """The problem that a request poses; its notes say what a reader should know of the request.

    Raises:
        BadInput: nothing to forget, a model without weights, test examples that do not fit or that were trained on, and
            as :meth:`lacunar.unlearning.problem.Problem.of`.
    """
    needed(given.request.weights, "--weights")
    posed, model = given.posed, given.model
    if posed is None:
        raise BadInput("say what must be forgotten, by either --forget FILE or --scenario NAME, not both")
    assert model is not None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the forget list has")  # a note of the problem says the same
        problem = Problem.of(
            model,
            posed.seen,
            posed.forget_ids,
            given.recipe,
            given.request.seed,
            device=given.request.device,
            mask=given.mask,
            where=given.where,
            corrected=posed.corrected,
            tuning=given.parts.tuning,
        )
    notes = [*posed.notes, *problem.notes, *_notes(given, posed, problem), *_test_notes(problem, given.parts.test)]
    return replace(problem, notes=tuple(notes))


def _notes(given: Given, posed: Posed, problem: Problem) -> Iterable[str]:
    n, column = len(posed.seen), given.request.id_column
    if column is not None and torch.equal(posed.seen.ids.cpu(), torch.arange(n)):
        yield (
            f"the training data have no ids of their own, so {column} is read as positions 0 to {n - 1}; "
            "give the data set an attribute ids if that is wrong"
        )
    if not given.recipe_stated:
        yield (
            "no --recipe was given: retraining for comparison uses lacunar's defaults (epochs="
            f"{problem.recipe.epochs}, lr={problem.recipe.lr:g}, ...), which may not be how this model was trained"
        )
    if len(problem.forget) > len(problem.retain):
        yield "more than half of the training set is to be forgotten: retraining is probably cheaper"


def _test_notes(problem: Problem, test: Source | None) -> Iterable[str]:
    if test is None:
        return
    forget = problem.forget
    try:
        check_head(problem.model, problem.recipe, test)
    except BadInput as error:
        raise BadInput(f"the test data do not fit: {error}") from error
    if len(shared := forget.ids.cpu()[test.has(forget.ids)]):
        raise BadInput(
            f"{len(shared)} of {len(forget)} ids to forget are in the test data as well: {sample_of(shared.tolist())}; "
            "a model cannot be judged on examples that it was trained on"
        )
    if not (isinstance(forget, Examples) and isinstance(test, Examples)):
        return  # reading a large data set from end to end is left to the audit
    held = set(prints(test))
    copies = sum(content in held for content in prints(forget))
    if copies == len(forget):
        raise BadInput("every example to forget is in the test data as well; is --test the training set?")
    if copies:
        yield f"{copies} of {len(forget)} examples to forget have an exact copy in the test data"
