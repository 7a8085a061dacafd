from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import nn

from lacunar.core.store import Store, digest
from lacunar.core.weights import model_state
from lacunar.lab.outcomes import facts, outcome_of
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem
from tests import problems

CALLS: list[str] = []


@dataclass(frozen=True)
class Leaves(Method):
    """Leaves another model: with other weights, with a mask of its own, or of another build."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset()
    adds_weights: ClassVar[bool] = True

    what: str = "weights"

    def unlearn(self, model, problem):
        CALLS.append(self.what)
        with torch.no_grad():
            for w in model.parameters():
                w.mul_(0.5)
        if self.what == "mask":
            live = {name: torch.rand(w.shape) > 0.5 for name, w in model.named_parameters()}
            for name, w in model.named_parameters():
                w.data[~live[name]] = 0
            return problem.ends(model, mask=live, notes=["sparse"], facts={"odd": float("nan"), "parts": (1, 2)})
        if self.what == "adapter":
            model.extra = nn.Parameter(torch.ones(3))
        if self.what == "other function":
            model.register_forward_hook(lambda module, given, out: 2 * out)
        problem.log.history.append({"loss": float("inf"), "seconds": 0.0})
        return model


@pytest.fixture(autouse=True)
def _fresh():
    CALLS.clear()


@pytest.fixture
def problem() -> Problem:
    return problems.problem("vectors", False)


@pytest.mark.parametrize("what", ["weights", "mask"])
def test_a_method_runs_once_and_its_outcome_comes_back_whole(problem, tmp_path, what):
    store = Store(tmp_path)
    (first, ran), (second, again) = (outcome_of(store, Leaves(what), problem) for _ in range(2))
    assert (ran, again) == (True, False) and [what] == CALLS
    one, two = model_state(first.model), model_state(second.model)
    assert all(torch.equal(one[name], two[name]) for name in one) and one.keys() == two.keys()
    assert not second.model.training
    assert second.seconds == first.seconds and second.notes == first.notes and second.problem is problem
    if what == "mask":
        assert all(torch.equal(first.mask[name], second.mask[name]) for name in first.mask)
        assert second.facts == {"odd": None, "parts": [1, 2]} and second.notes == ("sparse",)
    else:
        assert second.mask is None and second.history == ({"loss": None, "seconds": 0.0},)


@pytest.mark.parametrize("what", ["adapter", "other function"])
def test_a_model_that_its_weights_do_not_tell_is_made_by_each_call(problem, tmp_path, what):
    outcomes = [outcome_of(Store(tmp_path), Leaves(what), problem) for _ in range(2)]
    assert [made for _, made in outcomes] == [True, True] and [what] * 2 == CALLS


def test_a_failure_is_not_kept(problem, tmp_path):
    @dataclass(frozen=True)
    class Breaks(Leaves):
        def unlearn(self, model, problem):
            CALLS.append("broken")
            raise ZeroDivisionError("broken")

    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="broken"):
            outcome_of(Store(tmp_path), Breaks(), problem)
    assert CALLS == ["broken"] * 2


def test_everything_that_an_outcome_depends_on_is_in_its_key(problem, edit):
    def key(method, problem):
        return digest(facts(method, problem))

    other = problems.problem("vectors", True)
    plain = key(Leaves(), problem)
    assert key(Leaves(), replace(problem)) == plain
    changed = [
        key(Leaves("mask"), problem),
        key(Leaves(), other),
        key(Leaves(), replace(problem, seed=problem.seed + 1)),
        key(Leaves(), replace(problem, forget_ids=problem.forget_ids[1:])),
        key(Leaves(), replace(problem, tuning=problem.forget)),
        key(Leaves(), replace(problem, corrected=problem.forget)),
        key(Leaves(), replace(problem, recipe=replace(problem.recipe, lr=0.123))),
        key(Leaves(), replace(problem, model=problem.recipe.fresh(9))),
    ]
    assert len({plain, *changed}) == 1 + len(changed)
    edit(Leaves)
    assert key(Leaves(), problem) != plain
