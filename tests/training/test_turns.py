import copy
from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.core.rng import seed_of
from lacunar.data.pairing import pair
from lacunar.training.callbacks import Callback
from lacunar.training.checkpoint import Checkpoints
from lacunar.training.distillation import kl
from lacunar.training.limits import Limits
from lacunar.training.log import Log
from lacunar.training.loop import descend
from lacunar.training.settings import Descent
from lacunar.training.turns import Turn, turns
from lacunar.training.watch import Watch
from tests import problems
from tests.problems import half_mask

HOW = Descent(epochs=3, lr=0.05, batch_size=3, schedule="cosine", precision="float32")


def mean_loss(model, batch):
    return F.cross_entropy(model(batch.x), batch.y)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.fixture
def parts(tiny):
    return tiny.take(torch.arange(3)), tiny.take(torch.arange(3, 12))


def test_in_each_round_one_pass_for_each_turn_that_still_takes_part(parts):
    few, many = parts
    source = turns(Turn(few, mean_loss, 2), Turn(many, mean_loss, 3))
    batches = list(source.batches(3, 3, seed=1))
    assert [(b.epoch, b.index) for b in batches] == [(0, 0), *[(0, 1)] * 3, (1, 0), *[(1, 1)] * 3, *[(2, 1)] * 3]
    assert [b.step for b in batches] == list(range(11)) and source.epoch_ends(3, 3) == [4, 8, 11]
    assert [b.progress for b in batches] == [b.batch.progress for b in batches] == [i / 11 for i in range(11)]
    alone = [b.ids.tolist() for b in many.batches(3, 3, seed_of(1, "turn", 1))]
    assert [b.batch.ids.tolist() for b in batches if b.index == 1] == alone
    for start in range(12):
        rest = list(source.batches(3, 3, seed=1, start=start))
        assert [(b.step, b.index, b.batch.ids.tolist(), b.batch.epoch) for b in rest] == [
            (b.step, b.index, b.batch.ids.tolist(), b.batch.epoch) for b in batches[start:]
        ]


def test_it_equals_one_plain_optimiser_that_goes_from_one_to_the_other(parts):
    few, many = parts
    up, down = lambda m, b: -0.1 * mean_loss(m, b), mean_loss
    model, log = net(), Log()
    source = turns(Turn(few, up, 1), Turn(many, down, 2))
    descend(model, source, source.loss, replace(HOW, epochs=2), seed=0, log=log)
    plain = net().train()
    optimizer = torch.optim.SGD(plain.parameters(), momentum=HOW.momentum, weight_decay=HOW.weight_decay)
    orders = [few.batches(3, 1, seed_of(0, "turn", 0)), many.batches(3, 2, seed_of(0, "turn", 1))]
    for step, (turn, loss) in enumerate([(0, up), *[(1, down)] * 6]):
        optimizer.param_groups[0]["lr"] = HOW.rate(step / 7)
        optimizer.zero_grad()
        loss(plain, next(orders[turn])).backward()
        optimizer.step()
    assert torch.allclose(named.flat(named.weights(model)), named.flat(named.weights(plain)), atol=1e-6)
    assert log.steps == 7 and log.examples_seen == 3 + 2 * 9


def test_losses_of_turns_are_logged_apart(parts):
    few, many = parts
    source = turns(
        Turn(few, lambda m, b: -mean_loss(m, b), 1, name="up"),
        Turn(many, lambda m, b: {"half": 0.5 * mean_loss(m, b), "other": 0.5 * mean_loss(m, b)}, 2),
    )
    log = Log()
    descend(net(), source, source.loss, replace(HOW, epochs=2, lr=0.0), seed=0, log=log)
    first, second = log.history
    assert set(first) - set(second) == {"loss/up"} and set(second) >= {"loss/turn 2/half", "loss/turn 2/other"}
    many_loss = 2 * first["loss/turn 2/half"]
    assert first["loss/up"] < 0 and second["loss"] == pytest.approx(many_loss)
    assert first["loss"] == pytest.approx((3 * first["loss/up"] + 9 * many_loss) / 12)


class Recording(Checkpoints):
    """Keeps all checkpoints in memory."""

    def __init__(self):
        self.kept = []

    def due(self):
        return True

    def save(self, index, tensors, meta):
        self.kept.append({name: t.clone() for name, t in tensors.items()})

    def load(self, index, identity):
        return None

    def weights(self):
        return [{n.removeprefix("model/"): t for n, t in at.items() if n.startswith("model/")} for at in self.kept]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_weights_outside_the_turn_rest_bit_equal(parts, optimizer):
    few, many = parts
    partly = half_mask(net()) | {"0.bias": torch.zeros(8, dtype=torch.bool)}
    seen = Recording()
    source = turns(Turn(few, mean_loss, 2, where=partly), Turn(many, mean_loss, 2))
    how = replace(HOW, epochs=2, optimizer=optimizer, weight_decay=0.1)
    descend(net(), source, source.loss, how, seed=0, watch=Watch(checkpoints=seen))
    after = [named.weights(net()), *seen.weights()]
    for step in (0, 4):
        a, b = after[step], after[step + 1]
        assert all(torch.equal(a[n][~w], b[n][~w]) for n, w in partly.items())
        assert not torch.equal(a["0.weight"], b["0.weight"])
    assert not torch.equal(after[1]["0.bias"], after[2]["0.bias"]), "free in the other turn"


def test_momentum_of_resting_weights_waits(parts):
    _, many = parts
    where = masks.full(named.weights(net()), False) | {"2.bias": torch.ones(3, dtype=torch.bool)}
    resting = turns(Turn(many, mean_loss, 1), Turn(many, lambda m, b: m[2].bias.sum() * 0.0, 1, where=where))
    half = masks.full(named.weights(net()), True)
    half["0.weight"][:4] = False
    halves = turns(Turn(many, mean_loss, 1), Turn(many, lambda m, b: m[0].weight.sum() * 0.0, 1, where=half))
    for source, name, still in ((resting, "0.weight", slice(None)), (halves, "0.weight", slice(0, 4))):
        checkpoints = Recording()
        descend(
            net(), source, source.loss, replace(HOW, epochs=1, weight_decay=0.1), seed=0,
            watch=Watch(checkpoints=checkpoints),
        )  # fmt: skip
        index = list(named.parameters(net())).index(name)
        buffers = [t[f"optimizer/{index}/momentum_buffer"][still] for t in checkpoints.kept]
        assert torch.equal(buffers[2], buffers[5]), "at the end of the first turn and of the second"
        assert not torch.equal(buffers[0], buffers[1])


class Stop(Exception):
    pass


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("at", [0, 1, 3, 4, 6, 9])
def test_an_interruption_inside_any_turn_changes_nothing(tmp_path, parts, optimizer, at):
    few, many = parts
    where = half_mask(net())

    def make():
        both = pair(retain=many, forget=few)
        source = turns(
            Turn(few, lambda m, b: -0.1 * mean_loss(m, b), 2, where=where),
            Turn(both, lambda m, b: {"a": mean_loss(m, b["retain"]), "b": -0.1 * mean_loss(m, b["forget"])}, 3),
        )
        return source, nn.Sequential(net(), nn.Dropout(0.2))

    class Kill(Callback):
        def on_step(self, loop):
            if loop.step == at:
                raise Stop

    where = {f"0.{n}": w for n, w in where.items()}
    how = replace(HOW, optimizer=optimizer)
    source, whole = make()
    full = Log()
    descend(whole, source, source.loss, how, seed=4, log=full)
    watch = Watch(checkpoints=Checkpoints(tmp_path, every_seconds=0.0))
    source, model = make()
    with pytest.raises(Stop):
        descend(model, source, source.loss, how, seed=4, watch=watch, callbacks=[Kill()])
    source, model = make()
    log = Log()
    descend(model, source, source.loss, how, seed=4, watch=watch, log=log)
    assert named.digest(named.weights(model)) == named.digest(named.weights(whole))
    assert (log.steps, log.examples_seen) == (full.steps, full.examples_seen)

    def columns(rows):
        return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]

    assert columns(log.history) == columns(full.history)


def test_other_turns_are_another_descent(parts):
    few, many = parts
    where = masks.full(named.weights(net()), True)
    found = [
        turns(Turn(few, mean_loss, 1), Turn(many, mean_loss, 2)),
        turns(Turn(many, mean_loss, 1), Turn(few, mean_loss, 2)),
        turns(Turn(few, mean_loss, 2), Turn(many, mean_loss, 2)),
        turns(Turn(few, mean_loss, 1, where), Turn(many, mean_loss, 2)),
    ]
    assert len({source.digest() for source in found}) == 4


def test_turns_that_cannot_be(tiny):
    with pytest.raises(BadInput, match="got epochs=-1"):
        Turn(tiny, mean_loss, -1)
    for nothing in ((), (Turn(tiny, mean_loss, 0),)):
        with pytest.raises(BadInput, match="got nothing to train"):
            turns(*nothing)
    source = turns(Turn(tiny, mean_loss, 2))
    with pytest.raises(BadInput, match="have 2 rounds, but 3 epochs are asked for"):
        descend(net(), source, source.loss, HOW, seed=0)
    still = turns(Turn(tiny, mean_loss, 3, where=masks.full(named.weights(net()), False)))
    with pytest.raises(BadInput, match="no weight may move in this turn"):
        descend(net(), still, still.loss, HOW, seed=0)


def test_pruned_weights_stay_zero_in_all_turns(parts):
    few, many = parts
    mask = half_mask(net())
    where = masks.full(named.weights(net()), True) | {"2.bias": torch.zeros(3, dtype=torch.bool)}
    source = turns(Turn(few, mean_loss, 3, where=where), Turn(many, mean_loss, 3))
    model = net()
    descend(model, source, source.loss, HOW, seed=0, limits=Limits(mask=mask))
    assert all(not bool(w[~mask[n]].any()) for n, w in named.weights(model).items())


@dataclass(frozen=True)
class Scrub:
    """The settings of SCRUB, as a method would have them."""

    epochs: int = 3
    max_epochs: int = 2
    lr: float = 0.01
    batch_size: int = 8
    alpha: float = 0.5
    gamma: float = 1.0


def test_scrub_reads_as_in_the_paper():
    problem, self = problems.problem("vectors"), Scrub()
    model = copy.deepcopy(problem.model)
    ends = []

    class Rewind(Callback):
        def on_epoch(self, loop):
            ends.append(loop.epoch)

    rewind = [Rewind()]
    teacher = problem.teacher()
    up = Turn(problem.forget, lambda m, b: -kl(m, teacher, b), self.max_epochs)
    down = Turn(
        problem.edited,
        lambda m, b: self.alpha * kl(m, teacher, b) + self.gamma * problem.loss(m, b),
        self.epochs,
    )
    problem.descend(model, turns(up, down), self, callbacks=rewind)
    assert ends == [0, 1, 2] and problem.log.history[-1]["loss"] > 0
    assert "loss/turn 1" in problem.log.history[1] and "loss/turn 1" not in problem.log.history[2]
