r"""The gradient of an edit Z -> Z~ of some training rows, and the whole gradient after it.

Everything is in the scale of the sum: a recipe with a mean loss over n examples and weight decay wd stands for
:math:`L(\theta; D) = \sum_n \ell_n + \frac{\lambda}{2}\|\theta\|^2` with :math:`\lambda = n\,wd`.
"""

from __future__ import annotations

import torch

from lacunar.core import masks, named
from lacunar.core.named import Named
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example import weighted_sum
from lacunar.data import corrections
from lacunar.data.examples import Source
from lacunar.training.recipe import Recipe


def penalty(recipe: Recipe, n: int) -> float:
    r""":math:`\lambda = n\,wd`."""
    return n * recipe.weight_decay


def edit_gradient(forget: Objective, corrected: Source | None) -> Named:
    r""":math:`G = \sum_{\tilde Z} \nabla\ell - \sum_Z \nabla\ell`, plus :math:`(n' - n)\,wd\,\theta` for deleted rows.

    Where only labels change, rows are passed once: the gradients of the two losses in the shared logits are subtracted
    and pulled back together, at half the cost. Exactly 0 for an edit that changes nothing.

    Args:
        forget: the rows Z as training saw them.
        corrected: Z~, under ids of Z; None or empty for deletion.
    """
    rows, given = forget.examples, 0 if corrected is None else len(corrected)
    if corrected is None or given == 0:
        total = named.scale(weighted_sum(forget), -1.0)
    else:
        total = _changed(forget.on(rows.where(corrected.ids)), corrected)
        if len(gone := rows.without(corrected.ids)):
            total = named.add(total, weighted_sum(forget.on(gone)), -1.0)
    shrunk = penalty(forget.recipe, given - len(rows))
    return named.add(total, _weights(forget, total), shrunk) if shrunk else total


def full_gradient(objective: Objective) -> Named:
    r""":math:`\nabla L(\theta; D)`, the penalty included."""
    total = weighted_sum(objective)
    return named.add(total, _weights(objective, total), penalty(objective.recipe, len(objective.examples)))


def _changed(before: Objective, corrected: Source) -> Named:
    if corrections.same_inputs(before.examples, corrected):
        return _label_gradient(before, corrected)
    return named.add(weighted_sum(before.on(corrected)), weighted_sum(before), -1.0)


def _label_gradient(before: Objective, after: Source) -> Named:
    leaves = {name: w.detach().requires_grad_() for name, w in before.weights.items()}
    totals = before.zeros()
    with before.open():
        for batch in before.batches():
            y = after.y[after.positions(batch.ids).to(after.y.device)]
            z = before.logits(leaves, batch.x)
            gap = before.recipe.losses(z, y) - before.recipe.losses(z, batch.y)
            grads = torch.autograd.grad(gap.sum(), list(leaves.values()), materialize_grads=True)
            for name, g in zip(leaves, grads, strict=True):
                totals[name] += g
    return before.result(totals)


def _weights(objective: Objective, like: Named) -> Named:
    weights = masks.keep(named.weights(objective.model), objective.free)
    return {name: w.to(like[name]) for name, w in weights.items()}
