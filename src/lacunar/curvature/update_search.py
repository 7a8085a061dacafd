r"""Which of several computed updates lowers the loss most."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from lacunar.core import masks, named
from lacunar.core.errors import Diverged
from lacunar.core.named import Named
from lacunar.curvature.objective import Objective

T = TypeVar("T")

FIRST_STEP, RATIO, STEPS = 1e-4, 1.6, 25


def step_lengths(objective: Objective, gradient: Named) -> list[float]:
    r"""A grid of :math:`\tau` for :math:`\theta - \tau G`: from 1e-4 to 8 times the norm of the weights, 1.6 apart."""
    size = named.norm(gradient)
    if size == 0:
        return [0.0]
    return [FIRST_STEP * RATIO**k * named.norm(named.weights(objective.model)) / size for k in range(STEPS)]


def least(objective: Objective, updates: Iterable[tuple[T, Named]]) -> tuple[T, Named]:
    r"""The update of the free weights with the least penalised mean loss; the model is left as found.

    Raises:
        Diverged: no update gives a finite loss.
    """
    model, recipe = objective.model, objective.recipe
    start, best, found = named.weights(model), float("inf"), None
    for label, update in updates:
        named.write(model, named.add(start, masks.keep(update, objective.free)))
        z = recipe.predict(model, objective.examples)
        size = recipe.weight_decay / 2 * named.norm(named.weights(model)) ** 2
        loss = float(recipe.losses(z, objective.examples.y.cpu()).double().mean()) + size
        if loss < best:
            best, found = loss, (label, update)
    named.write(model, start)
    if found is None:
        raise Diverged("no step of the grid gives a finite loss on the corrected data; is the model itself finite?")
    return found
