"""What every method must do on every toy problem; nothing here knows a method by name.

Each method is run once on each problem and many things are asserted about that result; a further run is made only for
what one result cannot show.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from lacunar.catalog import registry
from lacunar.core import masks, named
from lacunar.core.errors import NotApplicable
from lacunar.core.files import read_json
from lacunar.core.weights import load_mask, load_model, model_state
from lacunar.data.batches import Batch, NamedBatches
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe
from lacunar.training.turns import TurnBatch
from lacunar.unlearning.method import Method, Outcome
from lacunar.unlearning.problem import Problem
from tests import problems
from tests.contracts import toy

# Published sparsities can cost a toy net a whole layer.
pytestmark = pytest.mark.filterwarnings("ignore:nothing of .* is left")

METHODS = registry.names("methods")
GRID = toy.grid(METHODS)
CHOICES = [pytest.param(m, *c, id=f"{m}-{'-'.join(c)}") for m in METHODS for c in toy.choices("methods", m)]


@dataclass(frozen=True)
class Result:
    """One run of a method, with what was around it.

    Attributes:
        outcome: None when the method does not apply, and then ``why`` says so.
        before, after: the model, the global state and the data that were given, before and after the run.
        visited: ids of all examples that the training loop has seen.
    """

    outcome: Outcome | None
    why: str
    before: list[Any]
    after: list[Any]
    visited: set[int] = field(repr=False)


class Pictures(torch.utils.data.Dataset):
    """A user's data set, read item by item."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.x[i], self.y[i]


FORMS: dict[tuple[str, bool], Callable[[Examples], Any]] = {
    ("vectors", False): lambda examples: (examples.x, examples.y),
    ("vectors", True): lambda examples: Pictures(examples.x, examples.y),
}
"""How a user gives the data of a toy problem; as :class:`Examples` where nothing is said."""


def run(name: str, problem: Problem, **settings: Any) -> Outcome:
    """The outcome, or a skip when the method says why it does not apply here."""
    try:
        return toy.quick("methods", name, **settings)(problem)
    except NotApplicable as why:
        assert str(why)
        pytest.skip(str(why))


@cache
def result(name: str, case: str, masked: bool) -> Result:
    """The one run of a method on a toy problem, with grad mode off, on data that only this run has."""
    known = problems.problem(case, masked)
    mine = copy.deepcopy(known.seen)
    given = FORMS.get((case, masked), lambda examples: examples)(mine)
    model = copy.deepcopy(known.model)
    problem = Problem.of(model, given, known.forget_ids, known.recipe, device="cpu", mask=known.mask)

    def now() -> list[Any]:
        parts = mine, problem.seen, problem.retain, problem.forget
        return [toy.shape_of(model), toy.surroundings(), [toy.content(part) for part in parts]]

    outcome, why = None, ""
    with torch.no_grad(), watched() as visited:
        before = now()
        try:
            outcome = toy.quick("methods", name)(problem)
        except NotApplicable as error:
            why = str(error)
        after = now()
    return Result(outcome, why, before, after, visited)


@contextmanager
def watched() -> Iterator[set[int]]:
    """The ids of all batches that are prepared for training inside the block."""
    seen: set[int] = set()
    original = Recipe.for_training

    def recording(recipe: Recipe, *args: Any, **more: Any) -> Callable[[Any], Any]:
        prepared = original(recipe, *args, **more)

        def watch(batch: Any) -> Any:
            for part in streams(batch):
                seen.update(part.ids.tolist())
            return prepared(batch)

        return watch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recipe, "for_training", recording)
        yield seen


def streams(batch: Any) -> list[Batch]:
    if isinstance(batch, TurnBatch):
        return streams(batch.batch)
    return list(batch.parts.values()) if isinstance(batch, NamedBatches) else [batch]


def outcome_of(name: str, case: str, masked: bool = False) -> Outcome:
    """The outcome of the one run, or a skip where the method does not apply."""
    found = result(name, case, masked)
    if found.outcome is None:
        pytest.skip(found.why)
    return found.outcome


def digest(outcome: Outcome) -> str:
    return named.digest(model_state(outcome.model))


@pytest.mark.parametrize("name", METHODS)
def test_documented_frozen_and_of_a_paper(name):
    cls = toy.documented("methods", name, Method)
    assert cls.paper


@pytest.mark.parametrize("name", METHODS)
def test_settings_round_trip_through_json(name):
    method = toy.quick("methods", name)
    assert toy.read_back("methods", method) == method


@pytest.mark.parametrize("name", METHODS)
def test_it_applies_to_one_of_the_toy_problems_or_says_what_it_needs(name):
    found = [result(name, *case) for case in problems.CASES]
    assert all(r.outcome is not None or len(r.why.split()) > 4 for r in found)
    assert any(r.outcome is not None for r in found) or any("needs" in r.why for r in found)


@pytest.mark.parametrize(("name", "case", "masked"), GRID)
def test_given_model_data_and_global_state_are_left_as_found(name, case, masked):
    # Public code marks what is deleted by negated labels inside the user's data set.
    found = result(name, case, masked)
    assert found.after == found.before


@pytest.mark.parametrize(("name", "case", "masked"), GRID)
def test_result_is_finite_keyed_alike_and_keeps_its_mask(name, case, masked):
    outcome = outcome_of(name, case, masked)
    before = list(model_state(outcome.problem.model))
    after = list(model_state(outcome.model))
    assert after == before or (outcome.method.adds_weights and set(before) <= set(after))
    assert not named.not_finite(model_state(outcome.model))
    assert not outcome.model.training
    assert (outcome.mask is not None) or not masked
    if masked and outcome.method.keeps_mask:
        assert not any(bool((outcome.mask[key] & ~m).any()) for key, m in outcome.problem.mask.items())
    for key, m in (outcome.mask or {}).items():
        dead = named.weights(outcome.model)[key][~m]
        assert torch.equal(dead.view(torch.int32), torch.zeros_like(dead).int())


@pytest.mark.parametrize("name", METHODS)
def test_a_result_is_read_back_from_safetensors_and_json_alone(name, tmp_path):
    outcome = outcome_of(name, "vectors", masked=True)
    outcome.save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"model.safetensors", "mask.safetensors", "outcome.json"}
    again = load_model(tmp_path / "model.safetensors", problems.problem("vectors").recipe.fresh(9))
    assert named.digest(model_state(again)) == digest(outcome)
    assert named.digest(load_mask(tmp_path / "mask.safetensors")) == named.digest(outcome.mask)
    told = read_json(tmp_path / "outcome.json")
    assert registry.from_spec("methods", told["method"]) == outcome.method


@pytest.mark.parametrize("name", [m for m in METHODS if any(word in m for word in ("prune", "sparse"))])
def test_a_name_that_speaks_of_sparsity_tells_the_density_before_and_after(name):
    # Public code has a method with "prune" in its name that prunes nothing.
    facts = json.dumps(dict(outcome_of(name, "images").facts))
    assert "density" in facts and "before" in facts and "after" in facts


@pytest.mark.parametrize(("name", "case", "masked"), GRID)
def test_every_forgotten_and_retained_id_is_visited(name, case, masked):
    outcome, visited = outcome_of(name, case, masked), result(name, case, masked).visited
    for part in ("forget", "retain"):
        ids = set(getattr(outcome.problem, part).ids.tolist())
        needed = part in outcome.method.needs and bool(visited)
        assert ids <= visited or (not needed and not ids & visited), f"{part}: an example was left out"


@pytest.mark.parametrize(("name", "case", "masked"), GRID)
def test_cost_is_metered(name, case, masked):
    outcome = outcome_of(name, case, masked)
    assert outcome.seconds > 0 and outcome.steps >= 0
    assert (outcome.steps > 0) == (outcome.examples_seen > 0) == bool(outcome.history)


@pytest.mark.parametrize("name", [m for m in METHODS if "epochs" in toy.quick("methods", m).settings()])
def test_learning_rate_never_exceeds_the_methods_own(name):
    # Public code warms up to the rate of the first training, whatever the rate of the unlearning.
    outcome = outcome_of(name, "vectors")
    assert outcome.history
    assert max(row["lr"] for row in outcome.history) <= outcome.method.lr


@pytest.mark.parametrize(("name", "case", "masked"), GRID)
def test_same_seed_same_weights(name, case, masked):
    again = run(name, problems.problem(case, masked))
    assert digest(again) == digest(outcome_of(name, case, masked))


@pytest.mark.parametrize("name", METHODS)
def test_other_seed_other_weights(name):
    # Seed 0 is a seed like any other: public code skips seeding for it, and then fails.
    one, two = outcome_of(name, "images"), run(name, problems.problem("images", seed=1))
    closed_form = one.steps == 0
    assert closed_form or digest(one) != digest(two), "only a closed-form method may ignore the seed"


@pytest.mark.parametrize(("name", "case", "masked"), GRID)
def test_only_weights_in_where_move(name, case, masked):
    problem = problems.problem(case, masked)
    weights = named.weights(problem.model)
    where = {k: torch.rand(w.shape, generator=torch.Generator().manual_seed(9)) < 0.3 for k, w in weights.items()}
    if problem.mask is not None:
        where = masks.both(where, problem.mask)
    after = named.weights(run(name, replace(problem, where=where)).model)
    for key, w in weights.items():
        assert torch.equal(after[key][~where[key]], w[~where[key]])


@pytest.mark.parametrize("case", ["vectors", "images"])
@pytest.mark.parametrize(("name", "setting", "word"), CHOICES)
def test_every_choice_keeps_the_mask_and_all_layers_but_the_last(name, setting, word, case):
    problem = problems.problem(case, masked=True)
    before = named.weights(problem.model)
    where = {k: m & (k in list(before)[-2:]) for k, m in problem.mask.items()}
    after = named.weights(run(name, replace(problem, where=where), **{setting: word}).model)
    for key, w in before.items():
        assert torch.equal(after[key][~where[key]].view(torch.int32), w[~where[key]].view(torch.int32))


@pytest.mark.parametrize(("name", "setting", "word"), CHOICES)
def test_every_choice_keeps_the_mask(name, setting, word):
    outcome = run(name, problems.problem("vectors", masked=True), **{setting: word})
    for key, w in named.weights(outcome.model).items():
        assert not bool(w[~outcome.mask[key]].any())


@pytest.mark.parametrize("name", METHODS)
def test_frozen_weights_stay(name):
    problem = problems.problem("vectors")
    model = copy.deepcopy(problem.model)
    model[0].weight.requires_grad_(False)
    after = run(name, replace(problem, model=model)).model
    assert torch.equal(after[0].weight, model[0].weight)
    assert not after[0].weight.requires_grad


@pytest.mark.parametrize("name", [m for m in METHODS if registry.plugin_class("methods", m).needs])
def test_a_missing_need_is_named(name):
    method = toy.quick("methods", name)
    problem = problems.problem("vectors")
    for need in sorted(method.needs):
        if need == "retraining":
            lacking = replace(problem, recipe=replace(problem.recipe, build=None))
        elif need in ("retain", "forget"):
            empty = getattr(problem, need).take(torch.zeros(0, dtype=torch.int64))
            lacking = problems.with_parts(problem, **{need: empty})
        else:
            lacking = replace(problem, **{need: None})
        with pytest.raises(NotApplicable, match="needs"):
            method(lacking)


@pytest.mark.parametrize("case", ["vectors", "images", "dicts"])
@pytest.mark.parametrize("name", METHODS)
def test_every_row_may_be_corrected(name, case):
    # A column that is dense, or a wrong scale, leaves no row as it was; the corrected rows are there to train on.
    problem = problems.all_corrected(case)
    assert not problem.retain and len(problem.edited) == len(problem.forget)
    toy.quick("methods", name).check(problem)
    outcome = run(name, problem)
    assert not named.not_finite(model_state(outcome.model))
