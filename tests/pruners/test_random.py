"""Random pruning as a control."""

from __future__ import annotations

import torch

from lacunar.core import masks
from lacunar.core.rng import generator_of
from lacunar.pruners.global_magnitude import GlobalMagnitude
from lacunar.pruners.random import Random
from lacunar.sparsity.amount import live_counts
from tests.problems import BatchNormNet


def test_uniform_over_the_weights_in_scope():
    model = BatchNormNet()
    kept = (
        sum(Random(0.75).mask(model, None, generator_of(seed))["second.weight"].double() for seed in range(200)) / 200
    )
    # Standard error of the mean over 324 weights and 200 draws is 0.0017, of one weight 0.031.
    assert abs(float(kept.mean()) - 0.25) < 0.01
    assert float((kept - 0.25).abs().max()) < 0.031 * 4.5


def test_same_counts_per_layer_as_another_pruner():
    model = BatchNormNet()
    magnitude = GlobalMagnitude(0.8).mask(model, None, generator_of(0))
    mask = Random().mask(model, None, generator_of(0), live_counts(magnitude))
    assert live_counts(mask) == live_counts(magnitude)
    assert not all(torch.equal(mask[n], magnitude[n]) for n in mask)
    assert masks.density(mask) == masks.density(magnitude)
