import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from lacunar.core import named
from lacunar.core.weights import model_state
from lacunar.training.callbacks import Callback
from lacunar.training.checkpoint import Checkpoints
from lacunar.training.keep import Keep, KeptWeights, after
from lacunar.training.log import Log
from lacunar.training.recipe import Recipe
from lacunar.training.watch import Watch

RECIPE = Recipe(lambda: nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)), epochs=5, batch_size=4)


def digest(model):
    return named.digest(model_state(model))


class Epochs(Callback):
    """All weights and buffers after each epoch."""

    def __init__(self):
        self.models = []

    def on_epoch(self, loop):
        self.models.append(copy.deepcopy(loop.model))


@pytest.fixture
def epochs(tiny):
    seen = Epochs()
    RECIPE.fit(tiny, 0, callbacks=[seen])
    return [digest(model) for model in seen.models]


@pytest.mark.parametrize(("scores", "best"), [([3, 5, 1, 5, 2], 1), ([1, 2, 3, 4, 5], 4), ([5, None, 9, None, 9], 2)])
def test_the_best_epoch_the_first_of_equals(tiny, epochs, scores, best):
    keep = Keep(lambda loop: scores[loop.epoch], put_back=True)
    model = RECIPE.fit(tiny, 0, callbacks=[keep])
    assert digest(model) == epochs[best]


def test_the_nth_epoch_buffers_included(tiny, epochs):
    keep = Keep(after(2))
    model = RECIPE.fit(tiny, 0, callbacks=[keep])
    start = RECIPE.fresh(0)
    before = digest(start)
    assert digest(keep.kept.copied_into(start)) == epochs[1] and digest(start) == before
    assert digest(model) == epochs[4], "without put_back the model is left alone"


def test_the_descent_may_end_there(tiny, epochs):
    log = Log()
    model = RECIPE.fit(tiny, 0, callbacks=[Keep(after(2), stop="that is far enough")], log=log)
    assert digest(model) == epochs[1] and log.notes == ["that is far enough"] and len(log.history) == 2


def test_nothing_kept_is_nothing_changed(tiny, epochs):
    keep = Keep(after(9), put_back=True)
    assert digest(RECIPE.fit(tiny, 0, callbacks=[keep])) == epochs[4]
    start = RECIPE.fresh(0)
    assert keep.kept.copied_into(start) is start


@pytest.mark.parametrize("broken_in", [0, 1, 3])
def test_it_survives_an_interruption(tiny, epochs, tmp_path, broken_in):
    class Break(Callback):
        def on_epoch(self, loop):
            if loop.epoch == broken_in:
                raise KeyboardInterrupt

    def once(*extra):
        keep = Keep(lambda loop: [1, 5, 2, 5, 4][loop.epoch], put_back=True)
        watch = Watch(callbacks=extra, checkpoints=Checkpoints(tmp_path, every_seconds=0.0))
        return RECIPE.fit(tiny, 0, callbacks=[keep], watch=watch)

    with pytest.raises(KeyboardInterrupt):
        once(Break())
    assert digest(once(Callback())) == epochs[1]


def test_state_is_tensors_and_comes_back():
    kept = KeptWeights()
    kept.keep(nn.Linear(2, 1))
    again = KeptWeights()
    again.restore({"highest": torch.tensor(1.0), **kept.state()})
    assert named.digest(again.tensors) == named.digest(kept.tensors)
    assert replace(kept, tensors={}).state() == {}
