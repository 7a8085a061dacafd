"""Losses and their curvature where the model is very sure, right or wrong."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lacunar.core import named
from lacunar.curvature import ggn, per_example
from lacunar.curvature.loss_curvature import loss_curvature_of
from lacunar.curvature.objective import Objective
from lacunar.data.examples import Examples
from lacunar.training import forward
from lacunar.training.recipe import Recipe

SURE = 1e4
LOGITS = {
    "binary_cross_entropy": torch.tensor([[SURE], [SURE], [-SURE], [-SURE]]),
    "cross_entropy": torch.tensor([[-SURE, SURE]] * 2 + [[SURE, -SURE]] * 2) / 2,
}
LABELS = torch.tensor([1, 0, 0, 1])


@pytest.mark.parametrize("loss", LOGITS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_of_sure_models_are_finite(loss, dtype):
    # Public code takes the logarithm of a sigmoid, which is 0 there.
    z = LOGITS[loss].to(dtype).requires_grad_()
    losses = forward.loss_named(loss)(z, LABELS)
    assert losses.tolist() == [0.0, SURE, 0.0, SURE]
    (slope,) = torch.autograd.grad(losses.sum(), z)
    assert slope.abs().sum(1).tolist() == [0.0, z.shape[1], 0.0, z.shape[1]]


@pytest.mark.parametrize("loss", LOGITS)
def test_sure_models_have_no_curvature_and_finite_gradients(loss):
    z = LOGITS[loss]
    head = loss_curvature_of(loss)
    for compute in (head.curve, head.root):
        assert not compute(z, LABELS, torch.ones_like(z)).any()
    model = nn.Linear(1, z.shape[1], bias=False)
    named.write(model, {"weight": z[:1].T.clone()})
    rows = Examples.of(torch.tensor([[1.0], [1.0], [-1.0], [-1.0]]), LABELS)
    recipe = Recipe(loss=loss, weight_decay=0.0)
    assert torch.equal(
        per_example.norms(Objective.of(model, rows, recipe)) > 0.9, torch.tensor([False, True, False, True])
    )
    assert not ggn.exact_diagonal(Objective.of(model, rows, recipe))["weight"].any()
