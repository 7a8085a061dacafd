"""Conservation of synaptic flow, and no layer collapse."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.data.examples import Examples
from lacunar.pruners.synflow import Synflow, absolute, flow
from tests import problems


def bias_free() -> nn.Module:
    torch.manual_seed(0)
    widths = (12, 40, 8, 30, 5)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b, bias=False), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


EXAMPLE = Examples.of(torch.zeros(1, 12), torch.zeros(1, dtype=torch.int64))


def test_every_layer_carries_the_same_flow():
    net = absolute(bias_free())
    totals = torch.stack([s.sum() for s in flow(net, torch.ones(1, 12, dtype=torch.float64)).values()])
    assert torch.allclose(totals, totals[0], rtol=1e-9, atol=0)


def test_no_layer_is_emptied():
    total = 12 * 40 + 40 * 8 + 8 * 30 + 30 * 5
    mask = Synflow(0.99, scope="conv+linear", allow_empty=False).mask(bias_free(), EXAMPLE, generator_of(0))
    assert all(bool(m.any()) for m in mask.values())
    assert masks.count(mask) == total - round(0.99 * total)


def test_deep_products_stay_in_range():
    torch.manual_seed(0)
    net = nn.Sequential(*[nn.Linear(12, 12, bias=False) for _ in range(150)])
    scores = flow(absolute(net), torch.ones(1, 12, dtype=torch.float64))
    assert not named.not_finite(scores) and all(float(s.max()) > 0 for s in scores.values())


def test_running_means_enter_as_absolute_values():
    problem = problems.problem("images")
    assert bool((problem.model.bn1.running_mean < 0).any())
    net = absolute(problem.model)
    assert torch.equal(net.bn1.running_mean, problem.model.bn1.running_mean.double().abs())
    assert torch.equal(net.bn1.running_var, problem.model.bn1.running_var.double())


def test_ones_enter_after_normalisation():
    # The recipe would turn ones into something else; the score must not depend on it.
    problem = problems.problem("images")
    seen = []
    problem.model.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    Synflow(0.5, rounds=2).mask(problem.model, problem.retain, generator_of(0), recipe=problem.recipe)
    problem.model._forward_pre_hooks.clear()
    assert len(seen) == 2 and all(torch.equal(x, torch.ones(1, 1, 8, 8, dtype=torch.float64)) for x in seen)


def test_what_it_cannot_do():
    with pytest.raises(NotApplicable, match="synflow needs examples that the model is to keep"):
        Synflow(scope="conv+linear").mask(bias_free(), None, generator_of(0))
    dicts = problems.problem("dicts")
    with pytest.raises(NotApplicable, match="by keyword"):
        Synflow(scope="conv+linear").mask(dicts.model, dicts.retain, generator_of(0))
    tokens = Examples.of(torch.zeros(1, 12, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    reader = nn.Sequential(nn.Embedding(3, 4), nn.Flatten(), nn.Linear(48, 2))
    with pytest.raises(NotApplicable, match="whole numbers such as tokens"):
        Synflow(scope="conv+linear").mask(reader, tokens, generator_of(0))
    with pytest.raises(BadInput, match="rounds must be at least 1"):
        Synflow(rounds=0)


def test_pixels_are_ones_too():
    pixels = Examples.of(torch.zeros(1, 12, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))
    masks = [Synflow(0.5, scope="conv+linear").mask(bias_free(), part, generator_of(0)) for part in (pixels, EXAMPLE)]
    assert named.digest(masks[0]) == named.digest(masks[1])
