from __future__ import annotations

import torch
from torch import nn

from lacunar.core import named
from lacunar.importance.saliency import Saliency
from lacunar.importance.taylor import Taylor
from tests.importance.toy import assert_same, world


def test_it_multiplies_the_forget_gradient_by_the_weight():
    here = world()
    expected = named.apply(lambda w, g: (w * g).abs(), named.weights(here.model), here.forget_gradient())
    assert_same(here.scores(Taylor()), expected)


def test_rescaling_a_layer_leaves_it_alone_and_changes_the_gradient():
    # Twice the incoming weights of a ReLU layer and half of the outgoing ones are the same function.
    here = world()
    before, saliency = here.scores(Taylor()), here.scores(Saliency())
    first, second = [m for m in here.model if isinstance(m, nn.Linear)][:2]
    with torch.no_grad():
        first.weight *= 2
        first.bias *= 2
        second.weight /= 2
    assert_same(here.scores(Taylor()), before)
    assert named.norm(named.add(here.scores(Saliency()), saliency, -1.0)) > 0.1 * named.norm(saliency)
