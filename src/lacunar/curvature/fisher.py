r"""Diagonals of the Fisher information, :math:`\sum_n E[(\partial_\theta \log p)^2]`, as sums over examples.

What varies is the label under the expectation: the given one (empirical), all classes weighted by the model's own
probabilities (true), or labels drawn from the model (Monte Carlo).
"""

from __future__ import annotations

import torch

from lacunar.core.named import Named
from lacunar.curvature import ggn
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example import squared_sum


def empirical(objective: Objective) -> Named:
    """The given labels: depends on them, and is not an estimate of the true Fisher."""
    return squared_sum(objective)


def true(objective: Objective) -> Named:
    r"""All labels: :math:`\sum_n \sum_c p_{nc} (\partial_\theta \log p_{nc})^2`, one backward pass per class.

    :math:`\sqrt{p_c}\, \partial_z (-\log p_c)` is column c of the factor S of the loss's Hessian, so this is the exact
    diagonal of the Gauss-Newton matrix, not merely equal in expectation.
    """
    return ggn.exact_diagonal(objective)


def monte_carlo(objective: Objective, *, samples: int = 1, seed: int = 0) -> Named:
    """Labels drawn from the model: an unbiased estimate of :func:`true`, one gradient per sample."""
    return ggn.sampled_diagonal(objective, samples=samples, seed=seed)


def batch_gradient_squared(objective: Objective, batch_size: int = 32) -> Named:
    r"""What public code calls the Fisher: :math:`\sum_c \bar p_c (\partial_\theta \bar\ell_c)^2`, a mean over batches.

    :math:`\bar p_c` is the mean probability of class c in a batch in stored order, :math:`\bar\ell_c` the mean loss of
    the batch with every label c. The square of a mean is no Fisher diagonal: where gradients of examples are mostly
    noise it is ``batch_size`` times too small, and it depends on the order. For reproducing published results only.
    """
    totals, batches = objective.zeros(), objective.examples.steps(batch_size)
    with objective.open():
        leaves = {name: w.detach().requires_grad_() for name, w in objective.weights.items()}
        for batch in objective.batches(batch_size):
            z = objective.logits(leaves, batch.x)
            for c, share in enumerate(z.detach().softmax(1).mean(0)):
                loss = objective.recipe.losses(z, torch.full_like(batch.y, c)).mean()
                grads = torch.autograd.grad(loss, list(leaves.values()), retain_graph=True, materialize_grads=True)
                for name, g in zip(leaves, grads, strict=True):
                    totals[name] += share * g.square() / batches
    return objective.result(totals)
