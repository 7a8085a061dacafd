r"""The generalised Gauss-Newton matrix :math:`\sum_n J_n^\top \Lambda_n J_n`: products, diagonals, blocks.

:math:`J_n` is the Jacobian of the logits of one example, :math:`\Lambda_n` the Hessian of its loss in the logits. The
matrix is positive semi-definite; under softmax cross-entropy it does not depend on labels. A sum over examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import jvp, vjp

from lacunar.core.errors import BadInput
from lacunar.core.named import Mask, Named
from lacunar.core.rng import keyed_integers, seed_of
from lacunar.curvature.loss_curvature import LossCurvature, loss_curvature_of
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example import batch_of, columns, matrix, squares
from lacunar.curvature.per_example_passes import Cotangents, pulled_back
from lacunar.data.batches import Batch
from lacunar.data.examples import Source
from lacunar.training.recipe import Recipe

Draw = Callable[[LossCurvature, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Operator:
    """The matrix as a function ``Named -> Named``, the same at every call: ``v -> m * C (m * v)``.

    The door is checked once, when the operator is made.

    Attributes:
        size: examples per batch, None for what fits; it changes nothing but memory.
    """

    model: nn.Module
    examples: Source
    recipe: Recipe
    mask: Mask | None = None
    size: int | None = None
    _objective: Objective = field(init=False, repr=False)

    def __post_init__(self) -> None:
        loss_curvature_of(self.recipe.loss)
        object.__setattr__(self, "_objective", Objective.of(self.model, self.examples, self.recipe, self.mask))

    def __call__(self, v: Mapping[str, Tensor]) -> Named:
        objective = self._objective
        direction, totals = objective.tangent(v), objective.zeros()
        with objective.open():
            for batch in objective.batches(self.size or batch_of(objective)):
                for name, part in product(objective, batch, direction).items():
                    totals[name] += part
        return objective.result(totals)


def product(objective: Objective, batch: Batch, direction: Named) -> Named:
    r""":math:`\sum_n J_n^\top \Lambda_n J_n v` over one prepared batch: one forward-mode and one backward pass."""

    def pushed(weights: Named) -> Any:
        return jvp(lambda w: objective.logits(w, batch.x), (weights,), (direction,))

    linear: Any = vjp(pushed, objective.weights, has_aux=True)
    z, pull, along = linear
    (out,) = pull(loss_curvature_of(objective.recipe.loss).curve(z, batch.y, along))
    return {name: t.detach() for name, t in out.items()}


def exact_diagonal(
    model: nn.Module, examples: Source, recipe: Recipe, mask: Mask | None = None, size: int | None = None
) -> Named:
    r"""The diagonal :math:`\sum_n \sum_c (J_n^\top S_n e_c)^2` with :math:`\Lambda = S S^\top`.

    One forward and as many backward passes as the model has logits: use :func:`diagonal` for more than about 20.
    """
    objective = Objective.of(model, examples, recipe, mask)
    with objective.open():
        return objective.result(squares(objective, _basis(objective), size))


def diagonal(
    model: nn.Module,
    examples: Source,
    recipe: Recipe,
    mask: Mask | None = None,
    *,
    probes: int = 1,
    seed: int = 0,
    size: int | None = None,
) -> Named:
    r"""An unbiased, non-negative estimate of the diagonal, at the cost of one gradient per probe.

    :math:`\sum_n (J_n^\top S_n r_n)^2` with signs :math:`r_n` drawn for each example: the Gauss-Newton form of
    curvature propagation (Martens et al., Estimating the Hessian by Back-propagating Curvature, ICML 2012,
    arXiv:1206.6464). One probe has about a third of the error of one sampled label.

    Args:
        probes: independent draws to average over.
        seed: of the draws, which are keyed by example id: neither order nor batch size changes them.
    """
    draw = _keyed(seed, "signs", probes, lambda head, z, y, u: head.root(z, y, (u > 0.5).to(u.dtype) * 2 - 1))
    return _averaged(model, examples, recipe, mask, draw, probes, size)


def sampled_diagonal(
    model: nn.Module,
    examples: Source,
    recipe: Recipe,
    mask: Mask | None = None,
    *,
    samples: int = 1,
    seed: int = 0,
    size: int | None = None,
) -> Named:
    r"""An unbiased, non-negative estimate of the diagonal from sampled labels, one gradient per sample.

    :math:`\sum_n (\partial_\theta \log p(\hat y_n))^2`, :math:`\hat y_n` drawn from the model and keyed by example id.
    """
    draw = _keyed(seed, "labels", samples, lambda head, z, y, u: head.sample(z, y, u))
    return _averaged(model, examples, recipe, mask, draw, samples, size)


def root(
    model: nn.Module, examples: Source, recipe: Recipe, mask: Mask | None = None, size: int | None = None
) -> Tensor:
    r"""A matrix R ``[n * outputs, selected weights]`` with :math:`R^\top R` the Gauss-Newton matrix; rows in any order.

    For few examples or few weights: it is stored whole.
    """
    objective = Objective.of(model, examples, recipe, mask)
    with objective.open():
        return matrix(objective, _basis(objective), size)


def dense(
    model: nn.Module, examples: Source, recipe: Recipe, mask: Mask | None = None, size: int | None = None
) -> Tensor:
    """The block of the selected weights, ``[s, s]`` float64, for small s; columns in the order of ``named.flat``."""
    objective = Objective.of(model, examples, recipe, mask)
    with objective.open():
        width = len(objective.vector(objective.weights))
        total = torch.zeros(width, width, dtype=torch.float64, device=objective.device)
        for part in pulled_back(objective, _basis(objective), size):
            rows = columns(objective, part).flatten(0, 1).double()
            total.addmm_(rows.T, rows)
        return total


def _averaged(
    model: nn.Module,
    examples: Source,
    recipe: Recipe,
    mask: Mask | None,
    draw: Callable[[Objective], Cotangents],
    times: int,
    size: int | None,
) -> Named:
    objective = Objective.of(model, examples, recipe, mask)
    with objective.open():
        totals = squares(objective, draw(objective), size)
    return objective.result({name: t / times for name, t in totals.items()})


def _basis(objective: Objective) -> Cotangents:
    head, count = loss_curvature_of(objective.recipe.loss), math.prod(objective.output)
    units = torch.eye(count, dtype=objective.dtype, device=objective.device).reshape(1, count, *objective.output)
    return Cotangents(lambda z, y, noise: head.root(z, y, units.expand(len(z), *units.shape[1:])), count)


def _keyed(seed: int, what: str, count: int, draw: Draw) -> Callable[[Objective], Cotangents]:
    if count < 1:
        raise BadInput(f"at least one draw per example is needed, got {count}")

    def of(objective: Objective) -> Cotangents:
        head, each = loss_curvature_of(objective.recipe.loss), math.prod(objective.output)

        def noise(ids: Tensor) -> Tensor:
            # Half a step off zero: a uniform of exactly 0 would be an infinite normal draw.
            whole = keyed_integers(seed_of(seed, what), 0, ids, count * each).double()
            return ((whole + 0.5) / 2**31).to(objective.dtype).reshape(len(ids), count, *objective.output)

        return Cotangents(lambda z, y, u: draw(head, z, y, u), count, noise)

    return of
