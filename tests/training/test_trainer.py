from __future__ import annotations

from dataclasses import replace

import pytest

from lacunar.catalog import registry
from lacunar.core import named
from lacunar.core.store import Store, digest
from lacunar.core.weights import model_state
from lacunar.sparsity import trainer as sparse_trainer
from lacunar.sparsity.trainer import train_sparse
from lacunar.training import trainer
from lacunar.training.callbacks import Callback
from lacunar.training.recipe import Recipe
from lacunar.training.trainer import facts, train


class StopAt(Callback):
    def __init__(self, step):
        self.at = step

    def on_step(self, loop):
        if loop.step == self.at:
            raise KeyboardInterrupt


@pytest.fixture
def data():
    return registry.parse("datasets", "synthetic:n_train=60,n_test=30,classes=3,shape=[1,6,6]").load().train


@pytest.fixture
def recipe(data):
    return Recipe(registry.parse("models", "small_cnn").shaped(data), epochs=2, batch_size=16)


def test_the_store_gives_back_the_model_that_the_recipe_trains(tmp_path, data, recipe):
    store = Store(tmp_path)
    direct = recipe.fit(data, 5)
    first, second = (train(store, recipe, data, 5) for _ in range(2))
    assert (first.made, second.made) == (True, False)
    for model in (first.model, second.model):
        assert named.digest(model_state(model)) == named.digest(model_state(direct))
        assert not model.training
    assert second.about == first.about
    assert first.about["examples_seen"] == 120 and first.about["steps"] == 8 and len(first.about["history"]) == 2


def test_an_interrupted_training_goes_on_and_ends_the_same(tmp_path, data, recipe, monkeypatch):
    store = Store(tmp_path)
    whole = recipe.fit(data, 5)
    fit = Recipe.fit

    def interrupted(self, examples, seed, *, watch, log, mask):
        watch.checkpoints.every_seconds = 0.0
        return fit(self, examples, seed, watch=replace(watch, callbacks=[StopAt(3)]), log=log, mask=mask)

    monkeypatch.setattr(Recipe, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(store, recipe, data, 5)
    monkeypatch.setattr(Recipe, "fit", fit)
    assert any(tmp_path.rglob("descent-*.safetensors"))
    resumed = train(store, recipe, data, 5)
    assert named.digest(model_state(resumed.model)) == named.digest(model_state(whole))
    assert resumed.about["steps"] == 8
    assert not any(tmp_path.rglob("descent-*.safetensors"))


def test_everything_that_a_training_depends_on_changes_its_key(data, recipe, monkeypatch):
    mask = named.full(named.weights(recipe.fresh(0)), True)
    plain = facts(recipe, data, 0)
    others = [
        facts(replace(recipe, lr=0.2), data, 0),
        facts(replace(recipe, build=registry.parse("models", "mlp").shaped(data)), data, 0),
        facts(recipe, data.without([3]), 0),
        facts(recipe, data.labelled((data.y + 1) % 3), 0),
        facts(recipe, data, 1),
        facts(recipe, data, 0, mask),
        facts(replace(recipe, precision="bfloat16"), data, 0),
    ]
    monkeypatch.setattr(trainer, "training_code", lambda: "another loop")
    others.append(facts(recipe, data, 0))
    assert len({digest(f) for f in (plain, *others)}) == 1 + len(others)
    monkeypatch.undo()
    assert facts(recipe, data, 0) == plain


def test_code_that_only_sparse_models_need_leaves_dense_ones_alone(tmp_path, data, recipe, monkeypatch):
    store, rule = Store(tmp_path), registry.parse("pruners", "global_magnitude:sparsity=0.5")
    train_sparse(store, recipe, data, 5, rule, "init")
    monkeypatch.setattr(sparse_trainer, "sparse_code", lambda: "another way to rewind")
    assert not train(store, recipe, data, 5).made
    assert train_sparse(store, recipe, data, 5, rule, "init").made


@pytest.mark.parametrize("pruner", ["global_magnitude:sparsity=0.5", "random:sparsity=0.5"])
def test_a_pruned_model_is_trained_under_the_mask_from_the_same_start(tmp_path, data, recipe, pruner):
    store = Store(tmp_path)
    rule = registry.parse("pruners", pruner)
    sparse = train_sparse(store, recipe, data, 5, rule, "init")
    again = train_sparse(store, recipe, data, 5, rule, "init")
    assert (sparse.made, again.made) == (True, False)
    weights = named.weights(sparse.model)
    assert all(not bool(weights[n][~m].any()) for n, m in sparse.mask.items())
    assert named.density(sparse.mask) < 1
    direct = recipe.fit(data, 5, mask=sparse.mask)
    assert named.digest(model_state(sparse.model)) == named.digest(model_state(direct))
    assert named.digest(again.mask) == named.digest(sparse.mask)
    # The dense model is another entry of the store, made only for rules that look at it.
    assert train(store, recipe, data, 5).made == (rule.scores == "initial")


def test_where_weights_rewind_to_is_part_of_the_key(tmp_path, data, recipe):
    store, rule = Store(tmp_path), registry.parse("pruners", "global_magnitude:sparsity=0.5")
    early, late = (train_sparse(store, recipe, data, 5, rule, back) for back in ("init", 1))
    assert late.made and named.digest(early.mask) == named.digest(late.mask)
    assert named.digest(model_state(early.model)) != named.digest(model_state(late.model))
