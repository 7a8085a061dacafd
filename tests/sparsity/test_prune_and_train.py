"""Prune, rewind, train again."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.core.weights import load_mask, load_model, model_state, save_mask, save_model
from lacunar.data.examples import Examples
from lacunar.models.small_cnn import SmallCnn
from lacunar.pruners.channel import Channel
from lacunar.pruners.global_magnitude import GlobalMagnitude
from lacunar.pruners.iterative_magnitude import IterativeMagnitude
from lacunar.pruners.snip import Snip
from lacunar.sparsity.prune_and_train import prune_trained, train_pruned
from lacunar.sparsity.scope import Scope
from lacunar.training.callbacks import Callback
from lacunar.training.recipe import Recipe
from lacunar.training.settings import Descent
from lacunar.training.watch import Watch

RECIPE = Recipe(SmallCnn((1, 8, 8), classes=4, width=4, depth=2), epochs=4, lr=0.05, batch_size=8, precision="float32")


def images(n: int = 24, first: int = 0) -> Examples:
    g = torch.Generator().manual_seed(first)
    y = torch.arange(n) % 4
    x = torch.randn(n, 1, 8, 8, generator=g) + y[:, None, None, None]
    return Examples.of(x, y, ids=torch.arange(n) + first)


def tuned(epochs: int, lr: float = 0.01) -> Recipe:
    return replace(RECIPE, epochs=epochs, lr=lr, schedule="constant")


class Seen(Callback):
    """The weights, rates and zeros of every descent."""

    def __init__(self) -> None:
        self.starts: list[named.Named] = []
        self.rates: list[list[float]] = []
        self.ends: list[named.Named] = []

    def on_start(self, loop):
        self.starts.append(named.weights(loop.model))
        self.rates.append([])

    def on_step(self, loop):
        self.rates[-1].append(loop.lr)

    def on_end(self, loop):
        self.ends.append(named.weights(loop.model))


def state_after(epochs: int) -> dict[str, torch.Tensor]:
    """Weights and buffers after some epochs of the dense training, in the obvious way: training is cut off there."""
    if epochs == 0:
        return model_state(RECIPE.fresh(0))

    class Stop(Callback):
        def on_epoch(self, loop):
            if loop.epoch + 1 == epochs:
                loop.stop("enough")

    return model_state(RECIPE.fit(images(), 0, callbacks=[Stop()]))


@pytest.mark.parametrize("rewind", ["init", 0, 1, 2])
def test_weights_are_the_masked_snapshot_and_the_rate_is_the_schedules(rewind):
    watch, epoch = Seen(), 0 if rewind == "init" else rewind
    model, mask = train_pruned(RECIPE, images(), GlobalMagnitude(0.5), rewind, 0, watch=Watch(callbacks=[watch]))
    dense = RECIPE.fit(images(), 0)
    assert named.digest(mask) == named.digest(GlobalMagnitude(0.5).mask(dense, None, generator_of(0)))
    wanted = {n: t for n, t in state_after(epoch).items() if n in mask}
    assert named.digest(watch.starts[1]) == named.digest(masks.keep(wanted, mask))
    schedule = Descent.of(RECIPE)
    assert len(watch.rates[1]) == 4 * 3, "the full number of epochs"
    assert watch.rates[1][0] == schedule.rate(epoch / 4)
    assert watch.rates[1] == pytest.approx([schedule.rate(min((step + 3 * epoch) / 12, 1.0)) for step in range(12)])
    weights = named.weights(model)
    assert all(bool((weights[n][~m] == 0).all()) for n, m in mask.items())
    assert not model.training


def test_no_rewind_keeps_the_trained_weights_and_tunes_them():
    watch = Seen()
    options = {"finetune": tuned(2, 0.003), "watch": Watch(callbacks=[watch])}
    _, mask = train_pruned(RECIPE, images(), GlobalMagnitude(0.5), "none", 0, **options)
    dense = named.weights(RECIPE.fit(images(), 0))
    assert named.digest(watch.starts[1]) == named.digest(masks.keep(dense, mask))
    assert watch.rates[1] == [0.003] * 6
    model, mask = train_pruned(RECIPE, images(), GlobalMagnitude(0.5), "none", 0)
    assert named.digest(named.weights(model)) == named.digest(masks.keep(dense, mask))


def test_pruners_that_look_at_the_start_train_once_and_see_the_initialisation():
    watch = Seen()
    _, mask = train_pruned(RECIPE, images(), Snip(0.5), 2, 0, watch=Watch(callbacks=[watch]))
    fresh = RECIPE.fresh(0)
    assert named.digest(mask) == named.digest(Snip(0.5).mask(fresh, images(), generator_of(0, "prune"), recipe=RECIPE))
    assert len(watch.starts) == 1 and watch.rates[0][0] == RECIPE.lr
    assert named.digest(watch.starts[0]) == named.digest(masks.keep(named.weights(fresh), mask))


def test_iterative_pruning_trains_once_per_round_and_once_more():
    watch = Seen()
    pruner = IterativeMagnitude(0.6)
    _, mask = train_pruned(RECIPE, images(), pruner, 1, 0, watch=Watch(callbacks=[watch]))
    scope = Scope.of(pruner)
    rounds = pruner.rounds(scope.room(RECIPE.fresh(0)), scope.counts(RECIPE.fresh(0)))
    assert len(rounds) == 5 and len(watch.starts) == 5 + 1
    start = {n: t for n, t in state_after(1).items() if n in mask}
    for kept, weights in zip(rounds, watch.starts[1:], strict=True):
        live = {n: weights[n] != 0 for n in scope.names(RECIPE.fresh(0))}
        assert masks.count(live) == kept, "each round starts from the rewound weights under its own mask"
        assert all(torch.equal(weights[n][m], start[n][m]) for n, m in live.items())


@pytest.mark.parametrize("rewind", ["init", 2, "none"])
def test_a_given_model_is_pruned_as_one_that_is_trained_here(rewind):
    dense = RECIPE.fit(images(), 0)
    before = named.digest(dense.state_dict())
    ours, mask = train_pruned(RECIPE, images(), GlobalMagnitude(0.5), rewind, 0)
    theirs, same = prune_trained(dense, RECIPE, images(), GlobalMagnitude(0.5), rewind, 0)
    assert named.digest(mask) == named.digest(same)
    assert named.digest(model_state(ours)) == named.digest(model_state(theirs))
    assert named.digest(dense.state_dict()) == before


def test_a_given_model_and_a_pruner_that_looks_at_the_start():
    dense = RECIPE.fit(images(), 0)
    for rewind, scored in (("init", RECIPE.fresh(0)), (1, RECIPE.fresh(0)), ("none", dense)):
        _, mask = prune_trained(dense, RECIPE, images(), Snip(0.5), rewind, 0, finetune=tuned(1))
        wanted = Snip(0.5).mask(scored, images(), generator_of(0, "prune"), recipe=RECIPE)
        assert named.digest(mask) == named.digest(wanted)


def test_a_pruned_model_is_pruned_further():
    _, first = train_pruned(RECIPE, images(), GlobalMagnitude(0.3), "none", 0, finetune=tuned(1))
    model, mask = prune_trained(
        RECIPE.fit(images(), 0), RECIPE, images(), GlobalMagnitude(0.6), "none", 0, within=first, finetune=tuned(1)
    )
    assert not any(bool((mask[n] & ~first[n]).any()) for n in mask)
    assert all(bool((w[~mask[n]] == 0).all()) for n, w in named.weights(model).items())


def test_channels_are_trained_under_their_mask():
    model, mask = train_pruned(RECIPE, images(), Channel(0.5), "init", 0)
    assert bool((model.bn1.bias[~mask["bn1.bias"]] == 0).all()) and int(mask["bn1.bias"].sum()) == 2


def test_the_best_epoch_on_tuning_examples_remains():
    held_out, seen = images(8, 1000), []
    labels = held_out.labelled((held_out.y + 1) % 4)  # wrong on purpose: learning does not help

    class Judge(Callback):
        def on_epoch(self, loop):
            z = RECIPE.predict(loop.model, labels)
            seen.append((float((z.argmax(1) == labels.y).double().mean()), named.weights(loop.model)))

    model, _ = train_pruned(RECIPE, images(), Snip(0.5), "init", 0, tuning=labels, watch=Watch(callbacks=[Judge()]))
    best = max(accuracy for accuracy, _ in seen)
    first = next(weights for accuracy, weights in seen if accuracy == best)
    assert named.digest(named.weights(model)) == named.digest(first)
    assert named.digest(first) != named.digest(seen[-1][1]), "otherwise the last epoch would do"


def test_a_pruned_checkpoint_reloads_bit_equal(tmp_path):
    model, mask = train_pruned(RECIPE, images(), GlobalMagnitude(0.9), 1, 0)
    save_model(tmp_path / "model.safetensors", model)
    save_mask(tmp_path / "mask.safetensors", mask)
    again = load_model(tmp_path / "model.safetensors", RECIPE.fresh(5))
    assert named.digest(model_state(again)) == named.digest(model_state(model))
    assert named.digest(load_mask(tmp_path / "mask.safetensors")) == named.digest(mask)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_masks_do_not_leak(optimizer):
    # Weight decay, momentum and Adam's moments move pruned weights in code that masks gradients only.
    recipe = replace(RECIPE, optimizer=optimizer, epochs=17, momentum=0.9, weight_decay=0.05, lr=0.01)
    model, mask = prune_trained(RECIPE.fit(images(), 0), recipe, images(), GlobalMagnitude(0.7), "init", 0)
    for name, w in named.weights(model).items():
        dead = w[~mask[name]]
        assert torch.equal(dead.view(torch.int32), torch.zeros_like(dead).int()), "bit-equal to +0.0"
    copy.deepcopy(model)


@pytest.mark.parametrize(
    ("change", "rewind", "error", "message"),
    [
        ({}, 4, BadInput, "rewind=4 is no epoch of a recipe with 4 epochs"),
        ({}, -1, BadInput, "rewind=-1 is no epoch"),
        ({}, "epoch 3", BadInput, 'rewind is an epoch, "init" or "none"'),
        ({"train": lambda model, examples, seed: model}, "init", NotApplicable, "cannot keep a mask"),
    ],
)
def test_what_cannot_be(change, rewind, error, message):
    recipe = replace(RECIPE, **change)
    with pytest.raises(error, match=message):
        train_pruned(recipe, images(), GlobalMagnitude(0.5), rewind, 0)
    with pytest.raises(error, match=message):
        prune_trained(recipe.fresh(0), recipe, images(), GlobalMagnitude(0.5), rewind, 0)


@pytest.mark.parametrize("make", [train_pruned, lambda *args, **how: prune_trained(RECIPE.fresh(0), *args, **how)])
def test_rounds_without_training_between_them_are_one_round(make):
    with pytest.raises(
        NotApplicable, match=r"iterative_magnitude trains between its rounds, .* so it would prune once"
    ):
        make(RECIPE, images(), IterativeMagnitude(0.6), "none", 0)
    _, mask = make(RECIPE, images(), IterativeMagnitude(0.6), "none", 0, finetune=tuned(1))
    assert masks.count(mask) < named.count(mask)


def test_a_training_of_the_users_own_can_be_pruned_as_it_is():
    own = Recipe(RECIPE.build, train=lambda model, examples, seed: model)
    for model, mask in (
        train_pruned(own, images(), GlobalMagnitude(0.5), "none", 0),
        prune_trained(own.fresh(0), own, images(), GlobalMagnitude(0.5), "none", 0),
    ):
        assert named.digest(named.weights(model)) == named.digest(masks.keep(named.weights(own.fresh(0)), mask))


def test_tuning_examples_that_is_trained_on():
    with pytest.raises(BadInput, match="tuning examples are among those trained on"):
        train_pruned(RECIPE, images(), GlobalMagnitude(0.5), 1, 0, tuning=images(4))
