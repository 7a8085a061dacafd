"""Equality with torch's own global magnitude pruning."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.utils import prune

from lacunar.core.rng import generator_of
from lacunar.pruners.global_magnitude import GlobalMagnitude
from tests.problems import BatchNormNet


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9, 0.95])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.filterwarnings("ignore:nothing of")
def test_equals_torch_on_random_nets(sparsity, seed):
    torch.manual_seed(seed)
    model = BatchNormNet()
    mask = GlobalMagnitude(sparsity, "conv+linear").mask(model, None, generator_of(0))
    hooked = copy.deepcopy(model)
    layers = [(m, "weight") for m in (hooked.first, hooked.second, hooked.head)]
    prune.global_unstructured(layers, prune.L1Unstructured, amount=sparsity)
    for name in ("first", "second", "head"):
        assert torch.equal(mask[f"{name}.weight"], getattr(hooked, name).weight_mask.bool())
