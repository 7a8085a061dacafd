import copy
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, Diverged
from lacunar.data.pairing import pair
from lacunar.training.callbacks import Callback
from lacunar.training.checkpoint import Checkpoints
from lacunar.training.limits import Limits
from lacunar.training.log import Log
from lacunar.training.loop import descend
from lacunar.training.recipe import Recipe
from lacunar.training.settings import SCHEDULES, Descent
from lacunar.training.watch import Watch
from tests import problems
from tests.oracles import plain_loop
from tests.problems import BatchNormNet, half_mask

HOW = Descent(epochs=3, lr=0.05, batch_size=5, precision="float32")


def mean_loss(model, batch):
    return F.cross_entropy(model(batch.x), batch.y)


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_equals_a_plain_loop(tiny, schedule, momentum):
    model = net()
    how = replace(HOW, momentum=momentum, schedule=schedule, weight_decay=0.01)
    plain = plain_loop.train(
        model, tiny, lambda m, x, y: F.cross_entropy(m(x), y), epochs=3, lr=0.05, batch_size=5, momentum=momentum,
        weight_decay=0.01, seed=7, rate=SCHEDULES[schedule],
    )  # fmt: skip
    descend(model, tiny, mean_loss, how, seed=7)
    assert torch.allclose(named.flat(named.weights(model)), named.flat(named.weights(plain)), atol=1e-6)


def test_equals_a_plain_loop_with_batchnorm_and_convolutions():
    problem = problems.problem("images")
    examples = replace(problem.retain, x=problem.retain.x.float() / 255)
    torch.manual_seed(0)
    model = BatchNormNet()
    model.drop.p = 0.0
    plain = plain_loop.train(
        model, examples, lambda m, x, y: F.cross_entropy(m(x), y), epochs=2, lr=0.05, batch_size=8, momentum=0.9,
        weight_decay=5e-4, seed=1,
    )  # fmt: skip
    descend(model, examples, mean_loss, Descent(epochs=2, lr=0.05, batch_size=8, precision="float32"), seed=1)
    for key, value in plain.state_dict().items():
        assert torch.allclose(model.state_dict()[key], value, atol=1e-6), key
    assert model.first.weight.is_contiguous()


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_pruned_weights_are_bit_zero_after_every_step(tiny, optimizer):
    # Momentum, weight decay and moments must not revive a pruned weight, whatever they start from.
    model = net()
    mask = half_mask(model)

    class Calls(Callback):
        seen = 0

        def on_epoch(self, loop):
            self.seen += 1
            for name, w in named.weights(loop.model).items():
                assert not w[~mask[name]].view(torch.int32).any(), "a pruned weight is not +0.0"

    watch = Calls()
    how = replace(HOW, epochs=17, optimizer=optimizer, weight_decay=0.1)
    descend(model, tiny, mean_loss, how, seed=0, limits=Limits(mask=mask), callbacks=[watch])
    assert watch.seen == 17
    copy.deepcopy(model)


def test_masked_training_equals_training_the_masked_function(tiny):
    model = net()
    mask = half_mask(model)
    named.write(model, masks.keep(named.weights(model), mask))
    oracle = copy.deepcopy(model)

    def masked_loss(m, x, y):
        with torch.no_grad():
            named.write(m, masks.keep(named.weights(m), mask))
        return F.cross_entropy(m(x), y)

    plain = plain_loop.train(
        oracle, tiny, masked_loss, epochs=3, lr=0.05, batch_size=5, momentum=0.9, weight_decay=5e-4, seed=0
    )
    descend(model, tiny, mean_loss, HOW, seed=0, limits=Limits(mask=mask))
    expected = masks.keep(named.weights(plain), mask)
    assert torch.allclose(named.flat(named.weights(model)), named.flat(expected), atol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_weights_outside_where_are_bit_equal(tiny, optimizer):
    model = net()
    where = half_mask(model) | {"0.bias": torch.zeros(8, dtype=torch.bool)}
    before = named.weights(model)
    how = replace(HOW, optimizer=optimizer, weight_decay=0.1)
    descend(model, tiny, mean_loss, how, seed=0, limits=Limits(where=where))
    after = named.weights(model)
    for name in before:
        assert torch.equal(after[name][~where[name]], before[name][~where[name]])
    assert not torch.equal(after["0.weight"], before["0.weight"])


def test_factors_scale_each_gradient(tiny):
    model, other = net(), net()
    how = Descent(epochs=1, lr=0.1, batch_size=12, momentum=0.0, weight_decay=0.0, precision="float32")
    start = named.weights(model)
    factors = {n: torch.full_like(w, 0.5) for n, w in start.items()}
    descend(model, tiny, mean_loss, how, seed=0, limits=Limits(factors=factors))
    descend(other, tiny, mean_loss, how, seed=0)
    half, full = (named.flat(named.add(named.weights(m), start, -1.0)) for m in (model, other))
    assert torch.allclose(half, 0.5 * full, atol=1e-7)


def test_transform_replaces_gradients(tiny):
    model = net()
    before = named.weights(model)
    still = Limits(transform=lambda grads: {n: torch.zeros_like(g) for n, g in grads.items()})
    descend(model, tiny, mean_loss, replace(HOW, weight_decay=0.0), seed=0, limits=still)
    assert named.digest(named.weights(model)) == named.digest(before)


def test_clip_bounds_the_step(tiny):
    model = net()
    before = named.weights(model)
    how = Descent(epochs=1, lr=1.0, batch_size=12, momentum=0, weight_decay=0, clip=0.01, precision="float32")
    descend(model, tiny, mean_loss, how, seed=0)
    assert named.norm(named.add(named.weights(model), before, -1.0)) == pytest.approx(0.01, rel=1e-3)


def test_frozen_batchnorm_leaves_buffers_bit_equal_and_train_moves_them():
    problem = problems.problem("images")
    examples = replace(problem.retain, x=problem.retain.x.float() / 255)
    for policy, same in (("frozen", True), ("train", False)):
        model = BatchNormNet().eval()
        before = named.digest(dict(model.named_buffers()))
        descend(model, examples, mean_loss, replace(HOW, batchnorm=policy), seed=0)
        assert (named.digest(dict(model.named_buffers())) == before) == same
        assert not any(m.training for m in model.modules()), "modes must be as found"


def test_two_streams(tiny):
    sizes = []

    def loss(model, batch):
        sizes.append((len(batch["retain"]), len(batch["forget"])))
        return mean_loss(model, batch["retain"]) - 0.1 * mean_loss(model, batch["forget"])

    log = Log()
    both = pair(retain=tiny.take(torch.arange(9)), forget=tiny.take(torch.arange(9, 12)))
    descend(net(), both, loss, replace(HOW, epochs=2), seed=0, log=log)
    assert sizes == [(5, 3), (4, 3)] * 2 and log.steps == 4 and log.examples_seen == 30


def test_history_and_counts(tiny):
    log = Log()
    descend(net(), tiny, mean_loss, replace(HOW, epochs=2), seed=0, log=log)
    assert [row["epoch"] for row in log.history] == [0, 1] and log.steps == 6 and log.examples_seen == 24
    assert all(row["loss"] > 0 for row in log.history)


def test_mean_loss_of_an_epoch_weighs_examples(tiny):
    log = Log()
    model = net()
    expected = F.cross_entropy(model(tiny.x), tiny.y).item()
    descend(model, tiny, mean_loss, replace(HOW, epochs=1, lr=0.0, weight_decay=0.0), seed=0, log=log)
    assert log.history[0]["loss"] == pytest.approx(expected, rel=1e-6)


def test_convolutions_run_in_channels_last_even_with_one_input_channel():
    seen = []
    model = BatchNormNet()
    model.first.register_forward_hook(lambda module, given, out: seen.append(out.stride()))
    images = problems.problem("images").retain
    descend(model, images, mean_loss, replace(HOW, epochs=1), seed=0, inputs=Recipe().for_training(0))
    assert seen[0] == (6 * 64, 1, 6 * 8, 6)
    assert all(p.is_contiguous() for p in model.parameters())


def test_divergence_names_the_step(tiny):
    with pytest.raises(Diverged, match=r"not finite from step 3 of 9 on; lower the learning rate \(lr=0.05\)"):
        descend(net(), tiny, lambda m, b: mean_loss(m, b) * (float("nan") if b.step >= 2 else 1.0), HOW, seed=0)


def test_nothing_is_read_back_inside_the_loop(tiny, monkeypatch):
    # Counts host reads of device values: one per epoch for the mean loss, none per step.
    reads = 0

    class Counting(Callback):
        def on_step(self, loop):
            counts.append(reads)

    original = torch.Tensor.__float__

    def counted(self):
        nonlocal reads
        reads += 1
        return original(self)

    counts: list[int] = []
    listed = torch.Tensor.tolist

    def counted_list(self):
        nonlocal reads
        reads += 1
        return listed(self)

    monkeypatch.setattr(torch.Tensor, "__float__", counted)
    monkeypatch.setattr(torch.Tensor, "tolist", counted_list)
    monkeypatch.setattr(torch.Tensor, "item", lambda self: pytest.fail("item() inside the loop"))
    descend(net(), tiny, mean_loss, replace(HOW, epochs=1, batch_size=1), seed=0, callbacks=[Counting()])
    assert len(counts) == 12 and len(set(counts)) == 1
    assert reads - counts[-1] == 1


def test_no_gradient_is_left_behind(tiny):
    model = net()
    where = masks.full(named.weights(model), True)
    where[next(iter(where))].fill_(False)
    descend(model, tiny, mean_loss, HOW, seed=0, limits=Limits(where=where))
    assert all(p.grad is None for p in model.parameters())


def test_dropout_and_order_come_from_the_seed_not_from_the_global_state(tiny):
    def trained(seed, disturb):
        model = nn.Sequential(net(), nn.Dropout(0.5))
        torch.manual_seed(disturb)
        before = torch.get_rng_state()
        descend(model, tiny, mean_loss, HOW, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        return named.digest(named.weights(model))

    assert trained(0, 1) == trained(0, 2) != trained(1, 1)


def test_masks_of_another_model_and_nothing_to_move(tiny):
    with pytest.raises(BadInput, match="do not belong to the same model"):
        descend(net(), tiny, mean_loss, HOW, seed=0, limits=Limits(mask={"x": torch.ones(1).bool()}))
    nothing = masks.full(named.weights(net()), False)
    with pytest.raises(BadInput, match="no weight may move"):
        descend(net(), tiny, mean_loss, HOW, seed=0, limits=Limits(where=nothing))


def test_bfloat16_trains_and_keeps_float32_weights():
    problem = problems.problem("images")
    examples = replace(problem.retain, x=problem.retain.x.float() / 255)
    model = BatchNormNet()
    log = Log()
    how = Descent(epochs=3, lr=0.05, batch_size=8, precision="bfloat16")
    descend(model, examples, lambda m, b: F.cross_entropy(m(b.x).float(), b.y), how, seed=0, log=log)
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert log.history[-1]["loss"] < log.history[0]["loss"] + 0.1


class Stop(Exception):
    pass


class Kill(Callback):
    """Interrupts in the middle of a step, or after the last one."""

    def __init__(self, step):
        self.step, self.aborted = step, False

    def on_step(self, loop):
        if loop.step == self.step < loop.steps - 1:
            raise Stop

    def on_end(self, loop):
        raise Stop

    def on_abort(self, loop):
        self.aborted = True


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("step", [1, 3, 7, 8])
def test_an_interrupted_descent_goes_on_to_the_same_weights(tiny, tmp_path, optimizer, step):
    def make():
        return nn.Sequential(net(), nn.Dropout(0.3))

    how = replace(HOW, optimizer=optimizer, schedule="cosine")
    whole, of_whole = make(), Log()
    descend(whole, tiny, mean_loss, how, seed=4, log=of_whole)
    checkpoints = Checkpoints(tmp_path, every_seconds=0.0)
    kill = Kill(step)
    with pytest.raises(Stop):
        descend(make(), tiny, mean_loss, how, seed=4, watch=Watch(checkpoints=checkpoints), callbacks=[kill])
    assert kill.aborted
    model, log = make(), Log()
    descend(model, tiny, mean_loss, how, seed=4, watch=Watch(checkpoints=checkpoints), log=log)
    assert named.digest(named.weights(model)) == named.digest(named.weights(whole))
    assert (log.steps, log.examples_seen) == (of_whole.steps, of_whole.examples_seen)
    assert [r["loss"] for r in log.history] == [r["loss"] for r in of_whole.history]


def test_a_finished_descent_is_not_repeated_and_a_later_one_goes_on(tiny, tmp_path):
    def penalised(model, batch):
        return mean_loss(model, batch) + 0.01 * model[0].weight.abs().sum()

    def job(watch):
        model, log = net(), Log()
        descend(model, tiny, mean_loss, HOW, seed=4, watch=watch, log=log)
        descend(model, tiny, penalised, HOW, seed=4, watch=watch, log=log)
        return named.digest(named.weights(model))

    expected = job(Watch())
    checkpoints = Checkpoints(tmp_path, every_seconds=0.0)
    assert job(Watch(checkpoints=checkpoints)) == expected
    steps = []

    class Count(Callback):
        def on_step(self, loop):
            steps.append(loop.step)

    (tmp_path / "descent-001.safetensors").unlink()
    assert job(Watch(callbacks=[Count()], checkpoints=checkpoints)) == expected
    assert len(steps) == 9, "the first descent must come from its checkpoint"


def test_a_checkpoint_of_another_run_is_refused(tiny, tmp_path):
    checkpoints = Checkpoints(tmp_path, every_seconds=0.0)
    descend(net(), tiny, mean_loss, HOW, seed=4, watch=Watch(checkpoints=checkpoints))
    with pytest.raises(BadInput, match="belongs to another run"):
        descend(
            net(),
            tiny,
            mean_loss,
            HOW,
            seed=4,
            watch=Watch(checkpoints=checkpoints),
            log=Log(identity="another method"),
        )
    for model, source, how, seed in (
        (net(1), tiny, HOW, 4),
        (net(), tiny.take(torch.arange(11)), HOW, 4),
        (net(), tiny, replace(HOW, lr=0.1), 4),
        (net(), tiny, HOW, 5),
    ):
        with pytest.raises(BadInput, match="belongs to another run"):
            descend(model, source, mean_loss, how, seed=seed, watch=Watch(checkpoints=checkpoints))


KILLED = """
import sys, torch, torch.nn.functional as F
from lacunar.training.callbacks import Callback
from lacunar.training.checkpoint import Checkpoints
from lacunar.training.log import Log
from lacunar.training.watch import Watch
from lacunar.core import masks, named
from tests import problems
torch.set_num_threads(1)
class Slow(Callback):
    def on_step(self, loop):
        import time
        time.sleep(0.02 if sys.argv[2] == "slow" else 0)
problem = problems.problem("images", masked=True)
watch = Watch(callbacks=[Slow()], checkpoints=Checkpoints(sys.argv[1], every_seconds=0.0))
from pathlib import Path
watch.checkpoints.folder = Path(sys.argv[1])
model = problem.recipe.fit(problem.retain, 5, mask=problem.mask, watch=watch)
print(named.digest(model.state_dict()))
"""


def test_sigkill_loses_nothing_but_the_steps_since_the_last_checkpoint(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    process = subprocess.Popen([*command, "slow"], stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("descent-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert process.stdout is not None
    assert process.stdout.read() == b"", "it was to be killed before it ended"
    process.stdout.close()
    assert list(tmp_path.glob("descent-*"))
    resumed = subprocess.run([*command, "fast"], capture_output=True, text=True, check=True).stdout.strip()
    problem = problems.problem("images", masked=True)
    whole = problem.recipe.fit(problem.retain, 5, mask=problem.mask)
    assert resumed == named.digest(whole.state_dict())


def test_coupled_retraining_keeps_everyone_in_place(tiny):
    recipe = Recipe(net, epochs=3, lr=0.05, batch_size=4)
    log = Log()
    recipe.fit(tiny, 0, skip=[5, 15, 25], log=log)
    assert log.examples_seen == 27 and [row["epoch"] for row in log.history] == [0, 1, 2]
    alone = Log()
    recipe.fit(tiny, 0, skip=tiny.ids[tiny.ids != 55], log=alone)
    assert alone.examples_seen == 3 and len(alone.history) == 3
