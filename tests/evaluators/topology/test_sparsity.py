"""Counting exact zeros."""

from __future__ import annotations

import pytest
import torch

from lacunar.auditing.trial import Trial
from lacunar.core.errors import BadInput
from lacunar.evaluators.topology.sparsity import Sparsity
from lacunar.methods.controls.do_nothing import DoNothing
from tests import problems
from tests.evaluators import toy


def trial() -> Trial:
    outcome = DoNothing()(problems.problem("images"))
    with torch.no_grad():
        outcome.model.first.weight.zero_()
        outcome.model.second.weight[:3] = 0.0
        outcome.model.second.weight[3:] = 1e-9
        outcome.model.bn1.bias.fill_(1.0)
        outcome.model.bn2.bias.fill_(1.0)
    return Trial(outcome, outcome.problem.retain)


def test_zeros_and_not_small_weights():
    found = {m.name: m for m in Sparsity().measure([trial()])}
    assert found["sparsity"].value == (54 + 162) / 378 and found["sparsity"].n == 378
    assert found["sparsity_layer[first.weight]"].value == 1
    assert found["sparsity_layer[second.weight]"].value == 0.5
    total = 378 + 24 + 6 * 4 + 4
    assert found["sparsity_net"].value == pytest.approx((54 + 162) / total) and found["sparsity_net"].n == total


def test_scope():
    names = [m.name for m in Sparsity(("head*",)).measure([trial()])]
    assert names == ["sparsity", "sparsity_net", "sparsity_layer[head.weight]", "sparsity_layer[head.bias]"]
    with pytest.raises(BadInput, match="unknown scope"):
        Sparsity("everything")


def test_a_net_without_a_layer_in_scope_says_so():
    found = Sparsity().measure([toy.world()])
    assert found[0].value is None and "matches no weight" in found[0].note
    assert toy.values(found)["sparsity_net"] == 1.0, "the toy model is zero"
