r"""Closed-form steps from an edit Z -> Z~ of some training rows: the gradient of the edit, and what to do with it.

Everything is in the scale of the sum: a recipe with a mean loss over n examples and weight decay wd stands for
:math:`L(\theta; D) = \sum_n \ell_n + \frac{\lambda}{2}\|\theta\|^2` with :math:`\lambda = n\,wd`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from lacunar.core import named
from lacunar.core.errors import Diverged, NotApplicable
from lacunar.core.named import Mask, Named
from lacunar.curvature import ggn, hessian, inverse
from lacunar.curvature.ggn_root import GgnRoot
from lacunar.curvature.inverse import Solution
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example import batch_of, weighted_sum
from lacunar.curvature.solvers.multi_shift_cg import shifted
from lacunar.data import corrections
from lacunar.data.examples import Source
from lacunar.training.recipe import Recipe

Curvature = Literal["ggn", "hessian"]
Solver = Literal["cg", "cholesky", "woodbury", "diagonal"]
T = TypeVar("T")

DAMPINGS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 1e-2, 1e-3)
DIRECT = 3000
DRIFT = 2.0
FIRST_STEP, RATIO, STEPS = 1e-4, 1.6, 25


def penalty(recipe: Recipe, n: int) -> float:
    r""":math:`\lambda = n\,wd`."""
    return n * recipe.weight_decay


def edit_gradient(
    model: nn.Module, forget: Source, corrected: Source | None, recipe: Recipe, mask: Mask | None = None
) -> Named:
    r""":math:`G = \sum_{\tilde Z} \nabla\ell - \sum_Z \nabla\ell`, plus :math:`(n' - n)\,wd\,\theta` for deleted rows.

    Where only labels change, rows are passed once: the gradients of the two losses in the shared logits are subtracted
    and pulled back together, at half the cost. Exactly 0 for an edit that changes nothing.
    """
    given = 0 if corrected is None else len(corrected)
    if corrected is None or given == 0:
        total = named.scale(weighted_sum(model, forget, recipe, mask=mask), -1.0)
    else:
        before, gone = forget.where(corrected.ids), forget.without(corrected.ids)
        if corrections.same_inputs(before, corrected):
            total = _label_gradient(model, before, corrected, recipe, mask)
        else:
            after = weighted_sum(model, corrected, recipe, mask=mask)
            total = named.add(after, weighted_sum(model, before, recipe, mask=mask), -1.0)
        if len(gone):
            total = named.add(total, weighted_sum(model, gone, recipe, mask=mask), -1.0)
    shrunk = penalty(recipe, given - len(forget))
    return named.add(total, _inside(model, total, mask), shrunk) if shrunk else total


def full_gradient(model: nn.Module, examples: Source, recipe: Recipe, mask: Mask | None = None) -> Named:
    r""":math:`\nabla L(\theta; D)`, the penalty included."""
    total = weighted_sum(model, examples, recipe, mask=mask)
    return named.add(total, _inside(model, total, mask), penalty(recipe, len(examples)))


@dataclass
class Counted:
    """A matrix that knows how many products were made with it.

    Attributes:
        made: so far, whichever solver asked for them.
    """

    matrix: inverse.Matrix
    made: int = 0

    def __call__(self, v: Mapping[str, Tensor]) -> Named:
        self.made += 1
        return self.matrix(v)


@dataclass(frozen=True, eq=False)
class NewtonSystem:
    r"""The systems :math:`(C_{SS} + (\lambda + n\mu) I)\, x = G_S` of Newton steps, one for each damping :math:`\mu`.

    Attributes:
        examples: the n rows that C is summed over.
        mask: S, the weights that may move; None for all. x is 0 outside.
        curvature: C, the Gauss-Newton matrix (positive semi-definite) or the Hessian.
        rtol, max_iter: relative residual and most products of conjugate gradients.
    """

    model: nn.Module
    examples: Source
    recipe: Recipe
    mask: Mask | None = None
    curvature: Curvature = "ggn"
    rtol: float = 1e-3
    max_iter: int = 200

    def solved(self, gradient: Named, damping: float, solver: Solver = "cg") -> Solution:
        r"""The solution for one damping :math:`\mu` per example.

        Args:
            solver: "cg" by conjugate gradients with the diagonal as preconditioner, "cholesky" with the block stored,
                "woodbury" with a root of the Gauss-Newton matrix stored, "diagonal" as if all other entries of C were 0
                (a control: not a solution of the system).

        Raises:
            NotApplicable: more than 3,000 weights for "cholesky", more memory than "woodbury" may take, the Hessian for
                "woodbury", a matrix that is not positive definite, or a loss whose curvature is not known; see
                :mod:`lacunar.curvature.inverse`.
        """
        return self._by(gradient, solver)(damping)

    def grid(self, gradient: Named, solver: Solver = "cg") -> list[tuple[float, Solution]]:
        """The solutions for a grid of dampings, 10 to 1e-3 per example; those that were not reached are left out.

        Conjugate gradients serve all dampings of a Gauss-Newton matrix with the products of the smallest one.

        Raises:
            NotApplicable: no damping of the grid is large enough.
        """
        if self.curvature == "ggn" and solver == "cg":
            alphas = [self.alpha(mu) for mu in DAMPINGS]
            every = shifted(self.operator, gradient, alphas, mask=self.mask, rtol=self.rtol, max_iter=self.max_iter)
            found = list(zip(DAMPINGS, every, strict=True))
        else:
            found, solve = [], self._by(gradient, solver)
            for mu in DAMPINGS:
                try:
                    found.append((mu, solve(mu)))
                except NotApplicable:
                    if not found:
                        raise
                    break  # with less damping it is less definite still
        if not any(solution.converged for _, solution in found):
            found[0][1].need()
        return [(mu, solution) for mu, solution in found if solution.converged]

    def checked(self, gradient: Named, damping: float, solution: Solution) -> Solution:
        """A solution of the grid with its residual measured; found again by itself where the recurrence had drifted."""
        size = named.norm(named.keep(gradient, self.mask))
        there = named.add(self.operator(solution.x), solution.x, self.alpha(damping))
        error = named.norm(named.add(named.keep(gradient, self.mask), there, -1.0)) / size if size else 0.0
        if error <= DRIFT * self.rtol:
            return replace(solution, iterations=solution.iterations + 1, residual=error)
        return self.solved(gradient, damping)

    def alpha(self, damping: float) -> float:
        r""":math:`\lambda + n\mu`."""
        return penalty(self.recipe, len(self.examples)) + len(self.examples) * damping

    def root(self) -> GgnRoot:
        r"""R with :math:`C = R^\top R`."""
        if self.curvature != "ggn":
            raise NotApplicable('solver="woodbury" needs a root of the matrix, which the Hessian has not; use "cg"')
        return GgnRoot(self.model, self.examples, self.recipe, self.mask)

    @cached_property
    def operator(self) -> Counted:
        """Products with C, counted."""
        of = ggn.Operator if self.curvature == "ggn" else hessian.Operator
        return Counted(of(self.model, self.examples, self.recipe, self.mask))

    def block(self, like: Named) -> Tensor:
        """C on the selected weights, ``[s, s]`` float64."""
        inside = named.flat(named.full(like, True) if self.mask is None else self.mask)
        width = int(inside.sum())
        if width > DIRECT:
            raise NotApplicable(
                f'solver="cholesky" stores a matrix and is for at most {DIRECT} weights, not {width}; use "cg"'
            )
        if self.curvature == "ggn":
            return ggn.dense(self.model, self.examples, self.recipe, self.mask)
        operator, columns = self.operator, []
        for place in inside.nonzero().reshape(-1):
            unit = torch.zeros(len(inside), device=inside.device)
            unit[place] = 1.0
            columns.append(named.flat(operator(named.unflat(unit, like)))[inside].double())
        return torch.stack(columns, 1)

    def _by(self, gradient: Named, solver: Solver) -> Callable[[float], Solution]:
        # What does not depend on the damping is made once.
        if solver == "cholesky":
            block = self.block(gradient)
            return lambda mu: inverse.cholesky(block, gradient, self.alpha(mu), mask=self.mask)
        if solver == "woodbury":
            rows = self.root()
            return lambda mu: inverse.woodbury(rows, gradient, self.alpha(mu), rtol=self.rtol)
        diagonal = ggn.diagonal(self.model, self.examples, self.recipe, self.mask)
        if solver == "diagonal":
            return lambda mu: Solution(
                named.apply(lambda g, c: g / (c + self.alpha(mu)), gradient, diagonal), 0, 0.0, True
            )
        how: dict[str, Any] = {"mask": self.mask, "rtol": self.rtol, "max_iter": self.max_iter}
        operator = self.operator
        return lambda mu: inverse.cg(operator, gradient, self.alpha(mu), diagonal=diagonal, **how)


def step_lengths(model: nn.Module, gradient: Named) -> list[float]:
    r"""A grid of :math:`\tau` for :math:`\theta - \tau G`: from 1e-4 to 8 times the norm of the weights, 1.6 apart."""
    size = named.norm(gradient)
    if size == 0:
        return [0.0]
    return [FIRST_STEP * RATIO**k * named.norm(named.weights(model)) / size for k in range(STEPS)]


def least(
    model: nn.Module, examples: Source, recipe: Recipe, updates: Iterable[tuple[T, Named]], mask: Mask | None = None
) -> tuple[T, Named]:
    r"""The update with the least penalised mean loss on ``examples``; the model is left as found.

    Raises:
        Diverged: no update gives a finite loss.
    """
    start, best, found = named.weights(model), float("inf"), None
    for label, update in updates:
        named.write(model, named.add(start, named.keep(update, mask)))
        z = recipe.predict(model, examples)
        size = recipe.weight_decay / 2 * named.norm(named.weights(model)) ** 2
        loss = float(recipe.losses(z, examples.y.cpu()).double().mean()) + size
        if loss < best:
            best, found = loss, (label, update)
    named.write(model, start)
    if found is None:
        raise Diverged("no step of the grid gives a finite loss on the corrected data; is the model itself finite?")
    return found


def _label_gradient(model: nn.Module, before: Source, after: Source, recipe: Recipe, mask: Mask | None) -> Named:
    objective = Objective.of(model, before, recipe, mask)
    leaves = {name: w.detach().requires_grad_() for name, w in objective.weights.items()}
    totals = objective.zeros()
    with objective.open():
        for batch in objective.batches(batch_of(objective)):
            y = after.y[after.positions(batch.ids).to(after.y.device)]
            z = objective.logits(leaves, batch.x)
            gap = recipe.losses(z, y) - recipe.losses(z, batch.y)
            grads = torch.autograd.grad(gap.sum(), list(leaves.values()), materialize_grads=True)
            for name, g in zip(leaves, grads, strict=True):
                totals[name] += g
    return objective.result(totals)


def _inside(model: nn.Module, like: Named, mask: Mask | None) -> Named:
    weights = named.keep(named.weights(model), mask)
    return {name: w.to(like[name]) for name, w in weights.items()}
