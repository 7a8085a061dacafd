import copy

import pytest
import torch
import torch.nn.functional as F

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.methods.ascent.neg_grad_plus import NegGradPlus
from tests import problems
from tests.methods import edited


def test_one_step_is_the_formula():
    problem = problems.problem("vectors")
    ours = NegGradPlus(epochs=1, lr=0.1, alpha=0.8, anchor=0.0, batch_size=100)(problem).model
    model = copy.deepcopy(problem.model)
    stays, goes = problem.retain, problem.forget
    loss = 0.8 * F.cross_entropy(model(stays.x), stays.y) - 0.2 * F.cross_entropy(model(goes.x), goes.y)
    expected = named.add(named.weights(model), named.gradient(loss, model), -0.1)
    assert torch.allclose(named.flat(named.weights(ours)), named.flat(expected), atol=1e-6)


def test_corrected_rows_are_retained_and_what_they_replace_is_pushed_away():
    problem = edited.relabelled()
    ours = NegGradPlus(epochs=1, lr=0.1, alpha=0.8, anchor=0.0, batch_size=100)(problem).model
    stays, goes = problem.retain + problem.corrected, problem.forget
    model = copy.deepcopy(problem.model)
    loss = 0.8 * F.cross_entropy(model(stays.x), stays.y) - 0.2 * F.cross_entropy(model(goes.x), goes.y)
    expected = named.add(named.weights(model), named.gradient(loss, model), -0.1)
    assert torch.allclose(named.flat(named.weights(ours)), named.flat(expected), atol=1e-6)


def test_alpha_one_is_fine_tuning_with_an_anchor():
    problem = problems.problem("vectors")
    far = NegGradPlus(epochs=20, lr=0.1, alpha=1.0, anchor=0.0, batch_size=8)(problem).model
    near = NegGradPlus(epochs=20, lr=0.1, alpha=1.0, anchor=10.0 / 2, batch_size=8)(problem).model
    start = named.weights(problem.model)
    moved = [named.norm(named.add(named.weights(m), start, -1.0)) for m in (near, far)]
    assert moved[0] < 0.2 * moved[1]


def test_cap_stops_pushing():
    problem = problems.problem("vectors")
    capped = NegGradPlus(alpha=0.0, anchor=0.0, cap=1e-9, lr=0.1)(problem).model
    assert named.digest(capped.state_dict()) == named.digest(problem.model.state_dict())


def test_alpha_is_a_share():
    with pytest.raises(BadInput, match=r"alpha weighs retain against forget and lies in \[0, 1\], got 97"):
        NegGradPlus(alpha=97)
