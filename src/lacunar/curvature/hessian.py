r"""The Hessian :math:`\sum_n \nabla^2 \ell_n`: products, the exact diagonal where affordable, Hutchinson's estimate."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.named import Named
from lacunar.core.rng import generator_of
from lacunar.curvature import ggn
from lacunar.curvature.matrix import Matrix
from lacunar.curvature.objective import Objective
from lacunar.curvature.piecewise import piecewise_linear
from lacunar.curvature.solvers.woodbury import Rows
from lacunar.data.batches import Batch

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


@dataclass(eq=False)
class Hessian(Matrix):
    """The matrix by its products; it can be indefinite."""

    def product(self, batch: Batch, direction: Named) -> Named:
        """The Hessian of the summed loss of one batch times ``direction``."""
        # Reverse over reverse: measured faster on a CPU than both mixed orders, and it needs no forward-mode formulas.
        leaves = {name: w.detach().requires_grad_() for name, w in self.objective.weights.items()}
        loss = self.objective.losses(leaves, batch).sum()
        first = torch.autograd.grad(loss, list(leaves.values()), create_graph=True, materialize_grads=True)
        slope = sum((g * direction[name]).sum() for name, g in zip(leaves, first, strict=True))
        assert isinstance(slope, Tensor)
        if not slope.requires_grad:
            return {name: torch.zeros_like(w) for name, w in leaves.items()}
        second = torch.autograd.grad(slope, list(leaves.values()), materialize_grads=True)
        return dict(zip(leaves, second, strict=True))

    def diagonal_estimate(self) -> Named:
        """That of the Gauss-Newton matrix, which is never negative: what preconditions."""
        return ggn.diagonal(self.objective)

    def block(self) -> Tensor:
        """The block of the free weights, by one product for each."""
        of = self.objective
        units = torch.eye(of.width, dtype=of.dtype, device=of.device)
        return torch.stack([of.vector(self(of.result(of.spread(unit)))).double() for unit in units], 1)

    def factor(self) -> Rows:
        """There is none.

        Raises:
            NotApplicable: always.
        """
        raise NotApplicable('solver="woodbury" needs a root of the matrix, which the Hessian has not; use "cg"')


def exact_diagonal(objective: Objective) -> Estimate:
    """The diagonal itself, by the Gauss-Newton matrix where the two agree, else by one product per free weight.

    Where logits are piecewise linear in each weight tensor (see :mod:`lacunar.curvature.piecewise`) the diagonals of
    the Hessian and of the Gauss-Newton matrix are equal, so no second derivative is taken and no entry is negative.

    Raises:
        NotApplicable: the net is curved and more than 1,000 weights are free.
    """
    with objective.open():
        flat = piecewise_linear(objective)
    if flat:
        note = "exact: the Gauss-Newton diagonal, which is the Hessian's in a piecewise linear net"
        return Estimate(ggn.exact_diagonal(objective), None, note)
    width = objective.width
    if width > DENSE_WEIGHTS:
        raise NotApplicable(
            f"the net is not piecewise linear, and the exact Hessian diagonal of {width} weights would take as many "
            f"products (at most {DENSE_WEIGHTS} are made): select fewer weights, or use hutchinson or the Gauss-Newton "
            "diagonal"
        )
    entries = Hessian(objective).block().diagonal()
    note = f"exact: {width} Hessian products, the net is curved"
    return Estimate(objective.result(objective.spread(entries)), None, note)


def hutchinson(objective: Objective, *, probes: int = 100, seed: int = 0) -> Estimate:
    r"""An unbiased estimate of the diagonal from products: the mean of :math:`r \odot (H r)` over random signs r.

    Bekas, Kokiopoulou and Saad, An estimator for the diagonal of a matrix, 2007. Its error does not fall with the
    number of examples: for piecewise linear nets :func:`lacunar.curvature.ggn.diagonal` is far cheaper. Entries can be
    negative.

    Raises:
        BadInput: fewer than two probes, from which no standard error follows.
    """
    if probes < 2:
        raise BadInput(f"hutchinson needs at least 2 probes to tell its own error, got {probes}")
    matrix, generator = Hessian(objective), generator_of(seed, "hutchinson")
    mean, spread = objective.zeros(), objective.zeros()
    for count in range(1, probes + 1):
        signs = {n: _signs(w, generator) for n, w in objective.weights.items()}
        products = matrix(objective.result(signs))
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
