import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lacunar.training.callbacks import Callback
from lacunar.training.checkpoint import Checkpoints
from lacunar.training.limits import Limits
from lacunar.training.log import Log
from lacunar.training.loop import descend
from lacunar.training.resume import identity
from lacunar.training.settings import Descent
from lacunar.training.watch import Watch

HOW = Descent(epochs=3, lr=0.05, batch_size=5, precision="float32")


def loss(model, batch):
    return F.cross_entropy(model(batch.x), batch.y)


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(4, 3)


class Kill(Callback):
    def on_step(self, loop):
        if loop.step == 5:
            raise KeyboardInterrupt


@pytest.fixture
def threads():
    """Sets the number of threads of the process; left as found."""
    was = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(was)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 2)])
def test_going_on_with_another_number_of_threads_is_noted(tiny, tmp_path, threads, before, after):
    watch = Watch(checkpoints=Checkpoints(tmp_path, every_seconds=0.0))
    threads(before)
    with pytest.raises(KeyboardInterrupt):
        descend(net(), tiny, loss, HOW, seed=0, watch=watch, callbacks=[Kill()])
    threads(after)
    log = Log()
    descend(net(), tiny, loss, HOW, seed=0, watch=watch, log=log)
    said = [note for note in log.notes if "went on with 2 threads instead of 1" in note]
    assert len(said) == (before != after) == len(log.notes) and log.steps == 9
    again = Log()
    descend(net(), tiny, loss, HOW, seed=0, watch=watch, log=again)
    assert again.notes == log.notes, "a finished descent says what it was"


def test_whatever_a_descent_depends_on_is_part_of_its_identity(tiny):
    mask = {n: torch.ones_like(p, dtype=torch.bool) for n, p in net().named_parameters()}
    other = {n: ~m for n, m in mask.items()}
    found = [
        identity(net(), tiny, HOW, 0, Limits(), Log()),
        identity(net(1), tiny, HOW, 0, Limits(), Log()),
        identity(net(), tiny.take(torch.arange(5)), HOW, 0, Limits(), Log()),
        identity(net(), tiny, Descent(epochs=4), 0, Limits(), Log()),
        identity(net(), tiny, Descent(schedule="cosine"), 0, Limits(), Log()),
        identity(net(), tiny, HOW, 1, Limits(), Log()),
        identity(net(), tiny, HOW, 0, Limits(mask=mask), Log()),
        identity(net(), tiny, HOW, 0, Limits(where=mask), Log()),
        identity(net(), tiny, HOW, 0, Limits(mask=other), Log()),
        identity(net(), tiny, HOW, 0, Limits(), Log(identity="another method")),
    ]
    assert len(set(found)) == len(found)
    assert identity(net(), tiny, HOW, 0, Limits(), Log()) == found[0]
