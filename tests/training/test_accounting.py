import gc

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lacunar.core.errors import BadInput, Diverged
from lacunar.training.accounting import ROOM, Losses, total
from lacunar.training.callbacks import Callback
from lacunar.training.log import Log
from lacunar.training.loop import descend
from lacunar.training.settings import Descent

CPU = torch.device("cpu")
HOW = Descent(epochs=2, lr=0.05, batch_size=5, precision="float32")


def net():
    torch.manual_seed(0)
    return nn.Linear(4, 3)


def test_terms_are_summed():
    one, two = torch.tensor(1.5), torch.tensor(2.0)
    assert total(one) is one and total({"a": one}) is one
    assert float(total({"a": one, "b": two})) == 3.5
    with pytest.raises(BadInput, match="the loss returned no terms"):
        total({})


def test_the_sum_of_named_terms_is_minimised_and_each_is_logged_apart(tiny):
    def plain(model, batch):
        return F.cross_entropy(model(batch.x), batch.y) + 0.1 * model.weight.pow(2).sum()

    def apart(model, batch):
        return {"fit": F.cross_entropy(model(batch.x), batch.y), "pull": 0.1 * model.weight.pow(2).sum()}

    one, two, log_one, log_two = net(), net(), Log(), Log()
    descend(one, tiny, plain, HOW, seed=0, log=log_one)
    descend(two, tiny, apart, HOW, seed=0, log=log_two)
    assert torch.equal(one.weight, two.weight)
    for a, b in zip(log_one.history, log_two.history, strict=True):
        assert set(b) - set(a) == {"loss/fit", "loss/pull"}
        assert b["loss/fit"] + b["loss/pull"] == pytest.approx(a["loss"]) == pytest.approx(b["loss"])


def test_means_weigh_examples_and_a_term_counts_where_it_was_computed():
    losses = Losses(CPU, 3, 0.1)
    losses.add(0, {"a": torch.tensor(1.0)}, torch.tensor(1.0), 3)
    losses.add(1, {"b": torch.tensor([4.0])}, torch.tensor([4.0]), 1)
    losses.read(1)
    assert losses.mean() == 7 / 4 and losses.counted == 4
    assert losses.end_epoch() == {"loss/a": 1.0, "loss/b": 4.0}
    assert losses.counted == 0 and losses.mean() is None


def test_what_a_checkpoint_keeps_comes_back():
    losses, again = Losses(CPU, 3, 0.1), Losses(CPU, 3, 0.1)
    losses.add(0, {"a": torch.tensor(1 / 3)}, torch.tensor(2 / 3), 3)
    losses.read(0)
    again.restore(losses.state())
    for one in (losses, again):
        one.add(1, {"a": torch.tensor(0.1)}, torch.tensor(0.7), 2)
        one.read(1)
    assert again.mean() == losses.mean() and again.end_epoch() == losses.end_epoch()


def test_a_loss_that_is_not_finite_names_its_step():
    losses = Losses(CPU, 9, 0.25)
    losses.add(3, torch.tensor(1.0), torch.tensor(1.0), 3)
    losses.add(4, torch.tensor(float("inf")), torch.tensor(float("inf")), 3)
    with pytest.raises(Diverged, match=r"not finite from step 5 of 9 on; lower the learning rate \(lr=0.25\)"):
        losses.read(4)


def test_a_full_buffer_is_read():
    losses = Losses(CPU, 3 * ROOM, 0.1)
    read = [losses.add(i, {"a": torch.tensor(1.0)}, torch.tensor(2.0), 1) for i in range(ROOM)]
    assert read.index(True) == ROOM // 2
    losses.read(ROOM)
    assert losses.mean() == 2.0 and losses.end_epoch() == {"loss/a": 1.0}


def test_memory_does_not_grow_with_the_number_of_steps(tiny):
    # 1,200 steps within a second: none of their losses may outlive its step.
    alive = []

    class Count(Callback):
        def on_step(self, loop):
            if loop.step in (100, 1100):
                gc.collect()
                alive.append(sum(issubclass(type(thing), Tensor) for thing in gc.get_objects()))

    how = Descent(epochs=1, lr=0.0, batch_size=1, precision="float32")
    many = type(tiny).of(torch.randn(1200, 4), torch.arange(1200) % 3)
    log = Log()
    descend(net(), many, lambda m, b: F.cross_entropy(m(b.x), b.y), how, seed=0, callbacks=[Count()], log=log)
    assert alive[1] <= alive[0] + 5
    expected = F.cross_entropy(net()(many.x), many.y)
    assert log.history[0]["loss"] == pytest.approx(float(expected.detach()), rel=1e-5) and many.steps(1) > ROOM
