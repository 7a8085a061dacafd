import copy
import dataclasses

import pytest
import torch

from lacunar.core import masks, named
from lacunar.core.errors import NotApplicable
from lacunar.core.rng import generator_of, seed_of
from lacunar.methods.controls.random_weights import RandomWeights
from lacunar.methods.controls.retrain import Retrain
from lacunar.pruners.global_magnitude import GlobalMagnitude
from lacunar.sparsity.prune_and_train import train_pruned
from lacunar.training.log import Log
from tests import problems


def test_retraining_is_the_recipe_on_what_stays():
    problem = problems.problem("images", seed=2)
    expected = problem.recipe.fit(
        problem.retain, seed_of(2, "retrain"), start=problem.recipe.fresh(seed_of(2, "retrain"))
    )
    ours = Retrain()(problem)
    assert named.digest(ours.model.state_dict()) == named.digest(expected.state_dict())
    assert ours.steps == 2 * problem.retain.steps(8)


def test_a_pruned_model_is_retrained_under_its_mask():
    problem = problems.problem("vectors", masked=True)
    after = named.weights(Retrain()(problem).model)
    assert all(not after[n][~m].any() for n, m in problem.mask.items())
    assert all((after[n][m] != 0).all() for n, m in problem.mask.items() if after[n].ndim > 1)


def test_a_fresh_mask_comes_from_what_stays_alone():
    problem = problems.problem("images", seed=2)
    pruner = GlobalMagnitude(sparsity=0.7)
    mask = pruner.mask(problem.recipe.fresh(0), None, generator_of(0, "mask"))
    model = copy.deepcopy(problem.model)
    named.write(model, masks.keep(named.weights(model), mask))
    problem = dataclasses.replace(problem, model=model, mask=mask)
    outcome = Retrain(mask="fresh")(problem)
    seed = seed_of(2, "retrain")
    model, found = train_pruned(problem.recipe, problem.retain, pruner, "init", seed, log=Log())
    assert named.digest(named.weights(outcome.model)) == named.digest(named.weights(model))
    assert all(torch.equal(outcome.mask[n], found[n]) for n in found)
    assert masks.count(outcome.mask) == masks.count(mask)
    assert any(bool((outcome.mask[n] != m).any()) for n, m in mask.items())


def test_settings_left_at_their_defaults_are_no_part_of_its_line():
    assert Retrain().line() == "retrain" and Retrain(mask="fresh").line() == "retrain:mask=fresh"


def test_a_fresh_mask_needs_a_pruned_model_and_all_its_weights():
    with pytest.raises(NotApplicable, match="needs a pruned model, and this one is dense"):
        Retrain(mask="fresh")(problems.problem("vectors"))
    problem = problems.problem("images")
    mask = GlobalMagnitude(sparsity=0.5).mask(problem.model, None, generator_of(0, "mask"))
    named.write(problem.model, masks.keep(named.weights(problem.model), mask))
    held = {name: torch.zeros_like(m) for name, m in mask.items()}
    with pytest.raises(NotApplicable, match="cannot leave weights outside where"):
        Retrain(mask="fresh")(dataclasses.replace(problem, mask=mask, where=held))


def test_random_weights_forget_everything(digits):
    problem = digits.problem(digits.flipped)
    model = RandomWeights()(problem).model
    z = problem.recipe.predict(model, digits.test)
    assert float((z.argmax(1) == digits.test.y).double().mean()) < 0.35
    assert not torch.equal(model[0].weight, problem.model[0].weight)


def test_corrected_rows_are_trained_on():
    problem = problems.problem("vectors")
    corrected = problem.forget.labelled((problem.forget.y + 1) % 3)
    edited = Retrain()(dataclasses.replace(problem, corrected=corrected))
    assert edited.examples_seen == 2 * (len(problem.retain) + len(corrected))
    assert Retrain()(problem).examples_seen == 2 * len(problem.retain)
