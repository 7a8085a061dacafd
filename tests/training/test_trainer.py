from __future__ import annotations

from dataclasses import replace

import pytest

from lacunar.catalog import registry
from lacunar.core import masks, named
from lacunar.core.store import Store, digest
from lacunar.core.weights import model_state
from lacunar.training import trainer
from lacunar.training.callbacks import Callback
from lacunar.training.recipe import Recipe
from lacunar.training.trainer import PlainTrainer, StoreTrainer, facts
from lacunar.training.watch import Watch


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
    train = StoreTrainer(Store(tmp_path))
    direct = recipe.fit(data, 5)
    first, second = (train(recipe, data, 5) for _ in range(2))
    assert (first.made, second.made) == (True, False)
    for model in (first.model, second.model):
        assert named.digest(model_state(model)) == named.digest(model_state(direct))
        assert not model.training
    assert second.about == first.about
    assert first.about["examples_seen"] == 120 and first.about["steps"] == 8 and len(first.about["history"]) == 2


def test_an_interrupted_training_goes_on_and_ends_the_same(tmp_path, data, recipe):
    train = StoreTrainer(Store(tmp_path))
    whole = recipe.fit(data, 5)
    early = replace(train, watch=lambda title: Watch([StopAt(3)]), every_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        early(recipe, data, 5)
    assert any(tmp_path.rglob("descent-*.safetensors"))
    resumed = train(recipe, data, 5)
    assert named.digest(model_state(resumed.model)) == named.digest(model_state(whole))
    assert resumed.about["steps"] == 8
    assert not any(tmp_path.rglob("descent-*.safetensors"))


def test_everything_that_a_training_depends_on_changes_its_key(data, recipe, monkeypatch):
    mask = masks.full(named.weights(recipe.fresh(0)), True)
    plain = facts(recipe, data, 0)
    others = [
        facts(replace(recipe, lr=0.2), data, 0),
        facts(replace(recipe, build=registry.parse("models", "mlp").shaped(data)), data, 0),
        facts(recipe, data.without([3]), 0),
        facts(recipe, data.labelled((data.y + 1) % 3), 0),
        facts(recipe, data, 1),
        facts(recipe, data, 0, mask),
        facts(recipe, data, 0, order_seed=1),
        facts(recipe, data, 0, skip=[3]),
        facts(replace(recipe, precision="bfloat16"), data, 0),
    ]
    monkeypatch.setattr(trainer, "training_code", lambda: "another loop")
    others.append(facts(recipe, data, 0))
    assert len({digest(f) for f in (plain, *others)}) == 1 + len(others)
    monkeypatch.undo()
    assert facts(recipe, data, 0) == plain


def test_a_plain_trainer_trains_anew_and_is_watched_by_title(data, recipe):
    titles = []

    def watch(title):
        titles.append(title)
        return Watch()

    mask = masks.full(named.weights(recipe.fresh(0)), True)
    next(iter(mask.values()))[0] = False
    train = PlainTrainer(watch)
    first, second = (train(recipe, data, 5, mask, title=title) for title in ("one", "two"))
    assert titles == ["one", "two"] and first.made and second.made and first.mask is mask
    direct = named.digest(model_state(recipe.fit(data, 5, mask=mask)))
    assert named.digest(model_state(first.model)) == named.digest(model_state(second.model)) == direct
    assert first.about["steps"] == 8 and first.about["seconds"] > 0


def test_both_trainers_leave_ids_out_and_take_another_order(tmp_path, data, recipe):
    coupled = {"order_seed": 9, "skip": [1, 2]}
    direct = named.digest(model_state(recipe.fit(data, 5, **coupled)))
    for train in (PlainTrainer(), StoreTrainer(Store(tmp_path))):
        assert named.digest(model_state(train(recipe, data, 5, **coupled).model)) == direct
        assert named.digest(model_state(train(recipe, data, 5).model)) != direct
