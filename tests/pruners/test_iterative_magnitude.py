"""Rounds of iterative magnitude pruning."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.pruners.iterative_magnitude import IterativeMagnitude
from lacunar.sparsity.scope import Scope
from tests.problems import BatchNormNet


def rounds_of(pruner: IterativeMagnitude, model) -> list[masks.Mask]:
    """The mask after each round; retraining is replaced by fresh random weights under the mask."""
    seen: list[masks.Mask] = []

    def retrain(pruned, mask):
        seen.append(mask)
        again = copy.deepcopy(pruned)
        g = torch.Generator().manual_seed(len(seen))
        noise = {n: torch.randn(w.shape, generator=g) for n, w in named.weights(again).items()}
        named.write(again, masks.keep(noise, mask))
        return again

    seen.append(pruner.mask(model, None, generator_of(0), retrain=retrain))
    return seen


def test_density_after_k_rounds_is_a_power_to_one_weight():
    model, scope = BatchNormNet(), Scope("conv")
    masks = rounds_of(IterativeMagnitude(0.95), model)
    total = sum(scope.room(model).values())
    assert len(masks) == 14, "0.8^13 > 0.05 > 0.8^14"
    live = [sum(scope.room(model, m).values()) for m in masks]
    for k, kept in enumerate(live[:-1], start=1):
        assert abs(kept - 0.8**k * total) <= 1
    assert live[-1] == total - round(0.95 * total)
    for older, newer in itertools.pairwise(masks):
        assert not any(bool((newer[n] & ~older[n]).any()) for n in newer)


def test_each_layer_reaches_its_own_target():
    model, pruner = BatchNormNet(), IterativeMagnitude(level="layer")
    target = {"first.weight": 50, "second.weight": 20}
    rounds = pruner.rounds(Scope("conv").room(model), target)
    assert rounds[0] == {"first.weight": 50, "second.weight": 324 - round(0.2 * 324)}
    assert rounds[-1] == target and rounds[-2]["second.weight"] > 20


def test_one_round_needs_no_training_and_many_do():
    model = BatchNormNet()
    assert masks.density(IterativeMagnitude(0.1).mask(model, None, generator_of(0))) < 1
    with pytest.raises(NotApplicable, match="trains between its 14 rounds"):
        IterativeMagnitude(0.95).mask(model, None, generator_of(0))


def test_share_outside_its_range():
    with pytest.raises(BadInput, match="share is pruned in each round"):
        IterativeMagnitude(share=1.0)
