"""The head alone: cached features give the whole model's logits, one pass over the layers below."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lacunar.core.errors import NotApplicable
from lacunar.curvature.last_layer import LastLayer
from tests.curvature import nets


@pytest.mark.parametrize("name", ["mlp", "residual", "conv", "words"])
def test_the_head_on_features_is_the_model(name):
    model, rows, recipe = nets.net(name)
    last = LastLayer.of(model, recipe)
    passes = []
    model.register_forward_hook(lambda module, args, out: passes.append(len(out)))
    features = last.features(rows)
    # Curvature's door looks at a few examples first; then each example goes through once.
    assert passes[-1] == len(rows) and sum(passes[:-1]) <= 2 * len(rows) + 1
    passes.clear()
    assert torch.equal(features.ids, rows.ids) and torch.equal(features.y, rows.y)
    with torch.no_grad():
        assert torch.allclose(last.head(features.x), model(rows.x), atol=1e-5)
    assert last.alone().weight_decay == recipe.weight_decay and not features.x.requires_grad


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(5, 3).double()

    def forward(self, x):
        return 2 * self.head(x)


class TiedHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(9, 4), nn.Linear(4, 9, bias=False)
        self.head.weight = self.embed.weight


def test_models_without_such_a_head_are_refused():
    _, rows, recipe = nets.net("mlp")
    with pytest.raises(NotApplicable, match="no linear layer"):
        LastLayer.of(nn.Conv1d(1, 1, 1), recipe)
    with pytest.raises(NotApplicable, match=r"tied \(embed.weight, head.weight\)"):
        LastLayer.of(TiedHead(), recipe)
    with pytest.raises(NotApplicable, match="are not the model's logits"):
        LastLayer.of(Scaled(), recipe).features(rows)
