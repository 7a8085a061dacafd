from dataclasses import replace

import pytest
import torch

from lacunar.core.errors import NotApplicable
from lacunar.data.batches import Batch
from lacunar.data.examples import Examples
from lacunar.methods.relabelling.random_label import RandomLabel
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem
from tests import problems
from tests.methods import edited


def labels(method, classes, key=0, n=5000):
    y = torch.arange(n) % classes
    return y, method.wrong_labels(Batch(torch.zeros(n), y, torch.arange(n)), classes, 0, key)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_never_the_true_label_and_uniform_over_the_others(classes):
    y, wrong = labels(RandomLabel(), classes)
    assert not (wrong == y).any() and int(wrong.min()) >= 0 and int(wrong.max()) < classes
    shifts = torch.bincount((wrong - y) % classes, minlength=classes)[1:].double() / len(y)
    assert (shifts - 1 / (classes - 1)).abs().max() < 0.03


def test_the_true_label_may_be_allowed():
    y, wrong = labels(RandomLabel(allow_true=True), 4)
    assert abs(float((wrong == y).double().mean()) - 0.25) < 0.03


def testwrong_labels_are_redrawn_when_asked():
    assert not torch.equal(labels(RandomLabel(), 10, key=0)[1], labels(RandomLabel(), 10, key=1)[1])
    seen: dict[str, set] = {}
    for redraw in ("run", "epoch", "batch"):
        problem = problems.problem("vectors")
        keys = seen.setdefault(redraw, set())
        original = RandomLabel.wrong_labels

        def watch(self, batch, classes, seed, key, keys=keys):
            keys.add(key)
            return original(self, batch, classes, seed, key)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RandomLabel, "wrong_labels", watch)
            RandomLabel(epochs=2, batch_size=16, redraw=redraw)(problem)
    assert seen == {"run": {0}, "epoch": {0, 1}, "batch": {0, 1, 2, 3, 4, 5}}


def test_forget_examples_are_relabelled_and_retained_ones_are_not(digits):
    problem = digits.problem(digits.flipped)
    after = RandomLabel(epochs=30, lr=0.05, batch_size=64)(problem).model
    z = problem.recipe.predict(after, problem.forget)
    assert float((z.argmax(1) == problem.forget.y).double().mean()) < 0.4
    kept = problem.recipe.predict(after, problem.retain)
    assert float((kept.argmax(1) == problem.retain.y).double().mean()) > 0.9


def test_corrected_rows_take_the_place_of_forgotten_ones(monkeypatch):
    whole = edited.relabelled()
    problem = replace(whole, corrected=whole.corrected.take(torch.arange(8)))
    taught, original = {}, Recipe.losses

    def labels(self, batch, *_):
        taught["ids"] = batch.ids
        return torch.zeros_like(batch.y)

    def losses(self, z, y):
        taught["y"] = y
        return original(self, z, y)

    monkeypatch.setattr(RandomLabel, "wrong_labels", labels)
    monkeypatch.setattr(Recipe, "losses", losses)
    RandomLabel(epochs=1, batch_size=100)(problem)
    found = dict(zip(taught["ids"].tolist(), taught["y"].tolist(), strict=True))
    right = dict(zip(problem.edited.ids.tolist(), problem.edited.y.tolist(), strict=True))
    left = problem.forget.without(problem.corrected.ids).ids.tolist()
    assert len(left) == 4 and found == {**right, **dict.fromkeys(left, 0)}


def test_nothing_is_left_to_relabel_where_every_row_is_corrected():
    with pytest.raises(NotApplicable, match=r"every forgotten row has a corrected one.* use fine_tune"):
        RandomLabel()(edited.relabelled())


def test_binary_models_with_one_logit():
    x = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    examples = Examples.of(x, (x[:, 0] > 0).long())
    recipe = Recipe(lambda: torch.nn.Linear(2, 1), epochs=5, lr=0.1, batch_size=8, loss="binary_cross_entropy")
    problem = Problem.of(recipe.fit(examples, 0), examples, [1, 2], recipe, device="cpu")
    assert RandomLabel(epochs=1)(problem).steps == 1


def test_regression_is_refused():
    problem = problems.problem("vectors")
    squares = replace(problem, recipe=replace(problem.recipe, loss="squared_error"))
    with pytest.raises(NotApplicable, match="these labels are not classes"):
        RandomLabel()(squares)
