"""An exact unlearner as a method: what its result is, and for which models it says that it does not apply."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from lacunar.catalog.registry import parse
from lacunar.core import named
from lacunar.core.errors import NotApplicable
from lacunar.data.corrections import relabel
from lacunar.data.examples import Examples
from lacunar.exact_unlearners.certified_linear import CertifiedLinear
from lacunar.methods.exact.delete_exactly import DeleteExactly
from lacunar.models.logistic import Logistic
from lacunar.training.recipe import Recipe
from lacunar.unlearning.exact import trained_by
from lacunar.unlearning.problem import Problem

LINEAR = CertifiedLinear(l2=0.5)
METHOD = DeleteExactly(LINEAR)


def rows(n=90, classes=3) -> Examples:
    g = torch.Generator().manual_seed(0)
    y = torch.arange(n) % classes
    return Examples.of(torch.randn(n, 4, generator=g) + 2 * torch.eye(classes, 4)[y], y, ids=10 * torch.arange(n) + 3)


def posed(classes=3, recipe=None, build=None, **more) -> Problem:
    train = rows(classes=classes)
    plain = Recipe(build or Logistic((4,), classes), normalize=None, epochs=2)
    recipe = recipe or trained_by(LINEAR, plain)
    return Problem.of(recipe.fit(train, 0), train, train.ids[:6], recipe, 1, device="cpu", **more)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_result_is_that_of_a_fit_without_the_examples(classes):
    problem = posed(classes)
    outcome = METHOD(problem)
    retrained = problem.recipe.fit(problem.retain, 5)
    now, wanted, before = (named.weights(m) for m in (outcome.model, retrained, problem.model))
    assert named.norm(named.add(now, wanted, -1.0)) < 1e-3 * named.norm(wanted)
    assert named.norm(named.add(before, wanted, -1.0)) > 5e-3 * named.norm(wanted)
    assert outcome.facts["original_distance"] < 1e-3 and outcome.notes == ()
    assert {"fit_seconds", "delete_seconds"} <= outcome.facts.keys()


def test_nothing_of_the_original_is_in_it():
    problem = posed()
    other = replace(problem, model=problem.recipe.fresh(7))
    one, two = METHOD(problem), METHOD(other)
    assert named.digest(named.weights(one.model)) == named.digest(named.weights(two.model))
    assert two.facts["original_distance"] > 0.5
    assert len(two.notes) == 1 and "the original is no fit of certified_linear with these settings" in two.notes[0]


def test_a_model_with_other_weights_is_refused_with_the_form_that_would_fit():
    deep = Recipe(lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)), epochs=1)
    with pytest.raises(NotApplicable, match=r"weights of the shapes \[\(3, 4\), \(3,\)\].*: take such a"):
        METHOD(posed(recipe=deep))


def test_a_linear_model_of_ones_own_is_one_whatever_its_weights_are_called():
    own = trained_by(LINEAR, Recipe(lambda: nn.Linear(4, 3)))
    assert METHOD(posed(recipe=own)).facts["original_distance"] < 1e-3


class Squared(nn.Module):
    """The same weights, another function."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(x) ** 2


def test_a_model_that_computes_something_else_with_such_weights_is_refused():
    with pytest.raises(NotApplicable, match="this model computes something else: take one that is linear"):
        METHOD(posed(recipe=Recipe(Squared, epochs=1)))


def test_masks_and_corrected_rows_are_not_for_it():
    problem = posed()
    held = {name: torch.zeros_like(w, dtype=torch.bool) for name, w in named.weights(problem.model).items()}
    corrected = relabel(problem.seen, {3: 2}).where(torch.tensor([3]))
    for change in ({"where": held}, {"mask": {n: ~m for n, m in held.items()}}, {"corrected": corrected}):
        with pytest.raises(NotApplicable, match=r"masks, where= and corrected rows are not for it"):
            METHOD(replace(problem, **change))
    free = {name: ~m for name, m in held.items()}
    assert METHOD(replace(problem, where=free)).model


def test_it_is_named_in_one_line():
    method = parse("methods", "delete_exactly:unlearner=certified_linear(l2=0.5)")
    assert method == METHOD and parse("methods", method.line()) == method
