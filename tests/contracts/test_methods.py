"""What every method must do on every toy problem; nothing here knows a method by name."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lacunar.catalog import registry
from lacunar.core import named
from lacunar.core.errors import NotApplicable
from lacunar.core.files import read_json
from lacunar.core.weights import load_mask, load_model, model_state
from lacunar.data.examples import Examples
from lacunar.training.watch import Watch
from lacunar.unlearning.method import Method, Outcome
from lacunar.unlearning.problem import Problem
from tests import problems

# Published sparsities can cost a toy net a whole layer.
pytestmark = pytest.mark.filterwarnings("ignore:nothing of .* is left")

METHODS = registry.names("methods")
GRID = [
    pytest.param(m, c, id=f"{m}-{i}") for m in METHODS for c, i in zip(problems.CASES, problems.CASE_IDS, strict=True)
]


def choices_of(name: str) -> list[tuple[str, str]]:
    """Every setting of a method that is one of a few words, with each of its words."""
    hints = get_type_hints(registry.plugin_class("methods", name))
    return [(key, word) for key, hint in hints.items() if get_origin(hint) is Literal for word in get_args(hint)]


CHOICES = [pytest.param(m, *c, id=f"{m}-{'-'.join(c)}") for m in METHODS for c in choices_of(m)]


def quick(name: str, **settings: Any) -> Method:
    """The method with few epochs, where it has epochs; everything else as by default."""
    fields = {f.name for f in dataclasses.fields(registry.plugin_class("methods", name))}
    few = {k: v for k, v in {"epochs": 2, "batch_size": 8}.items() if k in fields}
    return registry.find("methods", name, **few, **settings)


def run(name: str, problem: Problem, **settings: Any) -> Outcome:
    """The outcome, or a skip when the method says why it does not apply here."""
    try:
        return quick(name, **settings)(problem)
    except NotApplicable as why:
        assert str(why)
        pytest.skip(str(why))


def fingerprint(model: nn.Module) -> tuple[str, list[bool], list[bool], list[int]]:
    hooks = [len(m._forward_hooks) + len(m._backward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    flags = [p.requires_grad for p in model.parameters()]
    return named.digest(model.state_dict()), flags, [m.training for m in model.modules()], hooks


def content(examples: Examples) -> str:
    """A hash of what the examples hold now; their own digest is computed once and kept."""
    return dataclasses.replace(examples).digest()


@pytest.mark.parametrize("name", METHODS)
def test_documented_frozen_and_honest_about_its_needs(name):
    cls = registry.plugin_class("methods", name)
    assert issubclass(cls, Method) and cls.name() == name
    assert dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen
    assert cls.__doc__ and cls.__module__ and cls.paper


@pytest.mark.parametrize("name", METHODS)
def test_settings_round_trip_through_json(name):
    method = quick(name)
    assert registry.from_spec("methods", json.loads(json.dumps(method.spec()))) == method


@pytest.mark.parametrize(("name", "case"), GRID)
def test_given_model_and_global_state_are_left_as_found(name, case):
    problem = problems.problem(*case)
    problem = dataclasses.replace(problem, model=copy.deepcopy(problem.model))
    before = fingerprint(problem.model)
    state = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    forget, retain = content(problem.forget), content(problem.retain)
    with torch.no_grad():
        run(name, problem)
        assert not torch.is_grad_enabled()
    assert fingerprint(problem.model) == before
    assert random.getstate() == state[0] and np.random.get_state()[1].tolist() == state[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), state[2])
    assert torch.get_default_dtype() == torch.float32
    assert (content(problem.forget), content(problem.retain)) == (forget, retain)


class Pictures(torch.utils.data.Dataset):
    """A user's data set, read on demand."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.x[i], self.y[i]


@pytest.mark.parametrize("form", ["tensors", "examples", "data set"])
@pytest.mark.parametrize("name", METHODS)
def test_the_users_own_data_are_bit_equal_afterwards(name, form):
    # Public code marks what is deleted by negated labels inside the data set.
    known = problems.problem("vectors")
    x, y = (torch.cat([getattr(known.retain, part), getattr(known.forget, part)]) for part in ("x", "y"))
    given = {"tensors": (x, y), "examples": Examples.of(x, y), "data set": Pictures(x, y)}[form]
    before = x.clone(), y.clone()
    run(name, Problem.of(known.model, given, [1, 2, 40], known.recipe, device="cpu"))
    assert torch.equal(x, before[0]) and torch.equal(y, before[1])


@pytest.mark.parametrize("name", METHODS)
def test_a_result_is_read_back_from_safetensors_and_json_alone(name, tmp_path):
    outcome = run(name, problems.problem("vectors", masked=True))
    outcome.save(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"model.safetensors", "mask.safetensors", "outcome.json"}
    again = load_model(tmp_path / "model.safetensors", problems.problem("vectors").recipe.fresh(9))
    assert named.digest(model_state(again)) == named.digest(model_state(outcome.model))
    assert named.digest(load_mask(tmp_path / "mask.safetensors")) == named.digest(outcome.mask)
    told = read_json(tmp_path / "outcome.json")
    assert registry.from_spec("methods", told["method"]) == outcome.method


@pytest.mark.parametrize("name", [m for m in METHODS if any(word in m for word in ("prune", "sparse"))])
def test_a_name_that_speaks_of_sparsity_tells_the_density_before_and_after(name):
    # Public code has a method with "prune" in its name that prunes nothing.
    facts = json.dumps(dict(run(name, problems.problem("images")).facts))
    assert "density" in facts and "before" in facts and "after" in facts


@pytest.mark.parametrize(("name", "case"), GRID)
def test_result_is_finite_keyed_alike_and_keeps_its_mask(name, case):
    problem = problems.problem(*case)
    outcome = run(name, problem)
    assert list(model_state(outcome.model)) == list(model_state(problem.model))
    assert not named.not_finite(model_state(outcome.model))
    assert not outcome.model.training
    if problem.mask is not None:
        for key, w in named.weights(outcome.model).items():
            assert torch.equal(w[~problem.mask[key]].view(torch.int32), torch.zeros_like(w[~problem.mask[key]]).int())


@pytest.mark.parametrize(("name", "case"), GRID)
def test_same_seed_same_weights(name, case):
    one, two = (run(name, problems.problem(*case, seed=3)) for _ in range(2))
    assert named.digest(model_state(one.model)) == named.digest(model_state(two.model))


@pytest.mark.parametrize(("name", "case"), GRID)
def test_only_weights_in_where_move(name, case):
    problem = problems.problem(*case)
    weights = named.weights(problem.model)
    where = {k: torch.rand(w.shape, generator=torch.Generator().manual_seed(9)) < 0.3 for k, w in weights.items()}
    if problem.mask is not None:
        where = named.both(where, problem.mask)
    after = named.weights(run(name, dataclasses.replace(problem, where=where)).model)
    for key, w in weights.items():
        assert torch.equal(after[key][~where[key]], w[~where[key]])


@pytest.mark.parametrize("case", ["vectors", "images"])
@pytest.mark.parametrize(("name", "setting", "word"), CHOICES)
def test_every_choice_keeps_the_mask_and_all_layers_but_the_last(name, setting, word, case):
    problem = problems.problem(case, masked=True)
    before = named.weights(problem.model)
    where = {k: m & (k in list(before)[-2:]) for k, m in problem.mask.items()}
    after = named.weights(run(name, dataclasses.replace(problem, where=where), **{setting: word}).model)
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
    after = run(name, dataclasses.replace(problem, model=model)).model
    assert torch.equal(after[0].weight, model[0].weight)
    assert not after[0].weight.requires_grad


@pytest.mark.parametrize("name", [m for m in METHODS if registry.plugin_class("methods", m).needs])
def test_a_missing_need_is_named(name):
    method = quick(name)
    problem = problems.problem("vectors")
    for need in sorted(method.needs):
        if need == "retraining":
            lacking = dataclasses.replace(problem, recipe=dataclasses.replace(problem.recipe, build=None))
        elif need in ("retain", "forget"):
            empty = getattr(problem, need).take(torch.zeros(0, dtype=torch.int64))
            lacking = problems.with_parts(problem, **{need: empty})
        else:
            lacking = dataclasses.replace(problem, **{need: None})
        with pytest.raises(NotApplicable, match="needs"):
            method(lacking)


@pytest.mark.parametrize("case", ["vectors", "images", "dicts"])
@pytest.mark.parametrize("name", METHODS)
def test_every_row_may_be_corrected(name, case):
    # A column that is dense, or a wrong scale, leaves no row as it was; the corrected rows are there to train on.
    problem = problems.all_corrected(case)
    assert not problem.retain and len(problem.edited) == len(problem.forget)
    quick(name).check(problem)
    outcome = run(name, problem)
    assert not named.not_finite(model_state(outcome.model))


@pytest.mark.parametrize("name", METHODS)
def test_every_forgotten_and_retained_id_is_visited(name):
    problem = problems.problem("vectors")
    seen: list[int] = []
    original = type(problem.recipe).for_training

    def recording(recipe, seed, augmented=True):
        prepared = original(recipe, seed, augmented)

        def watch(batch):
            for part in (batch.retain, batch.forget) if hasattr(batch, "retain") else (batch,):
                seen.extend(part.ids.tolist())
            return prepared(batch)

        return watch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(problem.recipe), "for_training", recording)
        run(name, problem)
    used = set(seen)
    for name_, part in (("forget", problem.forget), ("retain", problem.retain)):
        ids = set(part.ids.tolist())
        needed = name_ in registry.plugin_class("methods", name).needs and bool(used)
        assert ids <= used or (not needed and not ids & used), f"{name_}: an example was left out"


@pytest.mark.parametrize("name", METHODS)
def test_cost_is_metered(name):
    outcome = run(name, problems.problem("vectors"))
    assert outcome.seconds > 0 and outcome.steps >= 0
    assert (outcome.steps > 0) == (outcome.examples_seen > 0) == bool(outcome.history)


@pytest.mark.parametrize("name", METHODS)
def test_other_seed_other_weights(name):
    # Seed 0 is a seed like any other: public code skips seeding for it, and then fails.
    one, two = (run(name, problems.problem("images", seed=s)) for s in (0, 1))
    closed_form = one.steps == 0
    same = named.digest(model_state(one.model)) == named.digest(model_state(two.model))
    assert closed_form or not same, "only a closed-form method may ignore the seed"


@pytest.mark.parametrize("name", [m for m in METHODS if "epochs" in quick(m).settings()])
def test_learning_rate_never_exceeds_the_methods_own(name):
    # Public code warms up to the rate of the first training, whatever the rate of the unlearning.
    method = quick(name)
    outcome = method(problems.problem("vectors"), Watch())
    assert outcome.history
    assert max(row["lr"] for row in outcome.history) <= method.lr
