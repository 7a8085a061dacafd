from __future__ import annotations

import pytest

from lacunar.catalog import registry
from lacunar.core import masks, named
from lacunar.core.store import Store
from lacunar.core.weights import model_state
from lacunar.sparsity import trainer
from lacunar.sparsity.trainer import SparseTrainer
from lacunar.training.recipe import Recipe
from lacunar.training.trainer import StoreTrainer


@pytest.fixture
def data():
    return registry.parse("datasets", "synthetic:n_train=60,n_test=30,classes=3,shape=[1,6,6]").load().train


@pytest.fixture
def recipe(data):
    return Recipe(registry.parse("models", "small_cnn").shaped(data), epochs=2, batch_size=16)


@pytest.fixture
def dense(tmp_path):
    return StoreTrainer(Store(tmp_path))


def test_code_that_only_sparse_models_need_leaves_dense_ones_alone(dense, data, recipe, monkeypatch):
    rule = registry.parse("pruners", "global_magnitude:sparsity=0.5")
    SparseTrainer(dense, rule, "init")(recipe, data, 5)
    monkeypatch.setattr(trainer, "sparse_code", lambda: "another way to rewind")
    assert not dense(recipe, data, 5).made
    assert SparseTrainer(dense, rule, "init")(recipe, data, 5).made


@pytest.mark.parametrize("pruner", ["global_magnitude:sparsity=0.5", "random:sparsity=0.5"])
def test_a_pruned_model_is_trained_under_the_mask_from_the_same_start(dense, data, recipe, pruner):
    rule = registry.parse("pruners", pruner)
    sparse = SparseTrainer(dense, rule, "init")(recipe, data, 5)
    again = SparseTrainer(dense, rule, "init")(recipe, data, 5)
    assert (sparse.made, again.made) == (True, False)
    weights = named.weights(sparse.model)
    assert all(not bool(weights[n][~m].any()) for n, m in sparse.mask.items())
    assert masks.density(sparse.mask) < 1
    direct = recipe.fit(data, 5, mask=sparse.mask)
    assert named.digest(model_state(sparse.model)) == named.digest(model_state(direct))
    assert named.digest(again.mask) == named.digest(sparse.mask)
    # The dense model is another entry of the store, made only for rules that look at it.
    assert dense(recipe, data, 5).made == (rule.scores == "initial")


def test_where_weights_rewind_to_is_part_of_the_key(dense, data, recipe):
    rule = registry.parse("pruners", "global_magnitude:sparsity=0.5")
    early, late = (SparseTrainer(dense, rule, back)(recipe, data, 5) for back in ("init", 1))
    assert late.made and named.digest(early.mask) == named.digest(late.mask)
    assert named.digest(model_state(early.model)) != named.digest(model_state(late.model))
