r"""The Hessian :math:`\sum_n \nabla^2 \ell_n`: products, the exact diagonal where affordable, Hutchinson's estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.named import Mask, Named
from lacunar.core.rng import generator_of
from lacunar.curvature import ggn
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example import batch_of
from lacunar.curvature.piecewise import piecewise_linear
from lacunar.data.batches import Batch
from lacunar.data.examples import Source
from lacunar.training.recipe import Recipe

DENSE_WEIGHTS = 1000


@dataclass(frozen=True)
class Estimate:
    """A diagonal with what is known about it.

    Attributes:
        value: the diagonal.
        error: standard error of each entry; None when it is exact.
        note: how it was made, in a sentence.
    """

    value: Named = field(repr=False)
    error: Named | None = field(repr=False)
    note: str


@dataclass(frozen=True, eq=False)
class Operator:
    """The Hessian as a function ``Named -> Named``, the same at every call: ``v -> m * H (m * v)``. Can be indefinite.

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
    """The Hessian of the summed loss of one prepared batch times ``direction``."""
    # Reverse over reverse: measured faster on a CPU than both mixed orders, and it needs no forward-mode formulas.
    leaves = {name: w.detach().requires_grad_() for name, w in objective.weights.items()}
    loss = objective.losses(leaves, batch).sum()
    first = torch.autograd.grad(loss, list(leaves.values()), create_graph=True, materialize_grads=True)
    slope = sum((g * direction[name]).sum() for name, g in zip(leaves, first, strict=True))
    assert isinstance(slope, Tensor)
    if not slope.requires_grad:
        return {name: torch.zeros_like(w) for name, w in leaves.items()}
    second = torch.autograd.grad(slope, list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, second, strict=True))


def exact_diagonal(
    model: nn.Module, examples: Source, recipe: Recipe, mask: Mask | None = None, size: int | None = None
) -> Estimate:
    """The diagonal itself, by the Gauss-Newton matrix where the two agree, else by one product per selected weight.

    Where logits are piecewise linear in each weight tensor (see :mod:`lacunar.curvature.piecewise`) the diagonals of
    the Hessian and of the Gauss-Newton matrix are equal, so no second derivative is taken and no entry is negative.

    Raises:
        NotApplicable: the net is curved and more than 1,000 weights are selected.
    """
    objective = Objective.of(model, examples, recipe, mask)
    with objective.open():
        flat = piecewise_linear(objective)
    if flat:
        value = ggn.exact_diagonal(model, examples, recipe, mask, size)
        return Estimate(
            value, None, "exact: the Gauss-Newton diagonal, which is the Hessian's in a piecewise linear net"
        )
    width = len(objective.vector(objective.weights))
    if width > DENSE_WEIGHTS:
        raise NotApplicable(
            f"the net is not piecewise linear, and the exact Hessian diagonal of {width} weights would take as many "
            f"products (at most {DENSE_WEIGHTS} are made): select fewer weights, or use hutchinson or the Gauss-Newton "
            "diagonal"
        )
    operator = Operator(model, examples, recipe, mask, size)
    units = torch.eye(width, dtype=objective.dtype, device=objective.device)
    entries = torch.stack([objective.vector(operator(_keyed(objective, unit)))[i] for i, unit in enumerate(units)])
    return Estimate(
        objective.result(_keyed(objective, entries)), None, f"exact: {width} Hessian products, the net is curved"
    )


def hutchinson(
    model: nn.Module,
    examples: Source,
    recipe: Recipe,
    mask: Mask | None = None,
    *,
    probes: int = 100,
    seed: int = 0,
    size: int | None = None,
) -> Estimate:
    r"""An unbiased estimate of the diagonal from products: the mean of :math:`r \odot (H r)` over random signs r.

    Bekas, Kokiopoulou and Saad, An estimator for the diagonal of a matrix, 2007. Its error does not fall with the
    number of examples: for piecewise linear nets :func:`lacunar.curvature.ggn.diagonal` is far cheaper. Entries can be
    negative.

    Raises:
        BadInput: fewer than two probes, from which no standard error follows.
    """
    if probes < 2:
        raise BadInput(f"hutchinson needs at least 2 probes to tell its own error, got {probes}")
    operator = Operator(model, examples, recipe, mask, size)
    objective = operator._objective
    mean, spread = objective.zeros(), objective.zeros()
    generator = generator_of(seed, "hutchinson")
    for count in range(1, probes + 1):
        signs = {n: _signs(w, generator) for n, w in objective.weights.items()}
        products = operator(objective.result(signs))
        for name, total in mean.items():
            drawn = signs[name].double() * products[name].double()
            gap = drawn - total
            total += gap / count
            spread[name] += gap * (drawn - total)
    error = {name: (s / (probes - 1) / probes).sqrt() for name, s in spread.items()}
    note = f"Hutchinson's estimate from {probes} probes; entries can be negative"
    return Estimate(objective.result(mean), objective.result(error), note)


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    return (torch.randint(0, 2, like.shape, generator=generator) * 2 - 1).to(like)


def _keyed(objective: Objective, vector: Tensor) -> Named:
    return objective.result(objective.spread(vector))
