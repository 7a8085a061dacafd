import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lacunar.training.callbacks import Callback, Loop
from lacunar.training.log import Log
from lacunar.training.loop import descend
from lacunar.training.settings import Descent
from lacunar.training.watch import Watch

HOW = Descent(epochs=2, lr=0.05, batch_size=5, precision="float32")


def loss(model, batch):
    return F.cross_entropy(model(batch.x), batch.y)


def net():
    torch.manual_seed(0)
    return nn.Linear(4, 3)


class Calls(Callback):
    def __init__(self, calls, name=""):
        self.calls, self.name = calls, name

    def on_start(self, loop):
        self.calls.append(f"{self.name}start {loop.step} of {loop.steps}")

    def on_step(self, loop):
        self.calls.append(loop.step)

    def on_epoch(self, loop):
        self.calls.append(f"{self.name}epoch {loop.epoch}")

    def on_end(self, loop):
        self.calls.append(f"{self.name}end")

    def on_abort(self, loop):
        self.calls.append(f"{self.name}abort")


def test_hooks_are_called_in_order(tiny):
    calls = []
    descend(net(), tiny, loss, HOW, seed=0, watch=Watch(callbacks=[Calls(calls)]))
    assert calls == ["start 0 of 6", 0, 1, 2, "epoch 0", 3, 4, 5, "epoch 1", "end"]


def test_those_of_the_descent_come_before_those_of_the_watch(tiny):
    calls = []
    descend(net(), tiny, loss, HOW, seed=0, callbacks=[Calls(calls, "a ")], watch=Watch([Calls(calls, "b ")]))
    assert calls[:2] == ["a start 0 of 6", "b start 0 of 6"] and calls[-2:] == ["a end", "b end"]


def test_a_loop_can_be_stopped_and_says_why(tiny):
    class Stop(Callback):
        def on_step(self, loop):
            if loop.step == 1:
                loop.stop("enough")

    calls, log = [], Log()
    descend(net(), tiny, loss, HOW, seed=0, callbacks=[Stop(), Calls(calls)], log=log)
    assert calls == ["start 0 of 6", 0, 1, "epoch 0", "end"] and log.notes == ["enough"] and log.steps == 2


def test_an_error_aborts(tiny):
    class Break(Callback):
        def on_step(self, loop):
            raise KeyboardInterrupt

    calls = []
    with pytest.raises(KeyboardInterrupt):
        descend(net(), tiny, loss, HOW, seed=0, callbacks=[Calls(calls), Break()])
    assert calls == ["start 0 of 6", 0, "abort"]


def test_what_a_callback_sees(tiny):
    seen = []

    class Look(Callback):
        def on_epoch(self, loop):
            seen.append((loop.step, loop.epoch, loop.progress, loop.lr, loop.examples, loop.loss is None))

    descend(net(), tiny, loss, HOW, seed=0, callbacks=[Look()])
    assert seen == [(2, 0, 2 / 6, 0.05, 12, False), (5, 1, 5 / 6, 0.05, 24, False)]


def test_a_callback_that_does_nothing_changes_nothing():
    loop = Loop(net(), 1, 1)
    idle = Callback()
    for hook in (idle.on_start, idle.on_step, idle.on_epoch, idle.on_end, idle.on_abort):
        hook(loop)
    idle.restore(idle.state())
    assert idle.state() == {} and loop == Loop(loop.model, 1, 1)
