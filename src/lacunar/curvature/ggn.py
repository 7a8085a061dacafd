r"""The generalised Gauss-Newton matrix :math:`\sum_n J_n^\top \Lambda_n J_n`: products, diagonals, blocks.

:math:`J_n` is the Jacobian of the logits of one example, :math:`\Lambda_n` the Hessian of its loss in the logits. The
matrix is positive semi-definite; under softmax cross-entropy it does not depend on labels. A sum over examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vjp

from lacunar.core.errors import BadInput
from lacunar.core.named import Named
from lacunar.core.rng import keyed_integers, seed_of
from lacunar.curvature.finite import finite
from lacunar.curvature.ggn_root import GgnRoot
from lacunar.curvature.loss_curvature import LossCurvature, basis, loss_curvature_of
from lacunar.curvature.matrix import Matrix
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example import columns, squares
from lacunar.curvature.per_example_passes import Cotangents, pulled_back
from lacunar.data.batches import Batch

Draw = Callable[[LossCurvature, Tensor, Tensor, Tensor], Tensor]


@dataclass(eq=False)
class GaussNewton(Matrix):
    """The matrix by its products; positive semi-definite.

    Raises:
        NotApplicable: a loss whose curvature is not known.
    """

    def __post_init__(self) -> None:
        loss_curvature_of(self.objective.recipe.loss)

    def product(self, batch: Batch, direction: Named) -> Named:
        r""":math:`\sum_n J_n^\top \Lambda_n J_n v` over one batch: one forward-mode and one backward pass."""
        of = self.objective

        def pushed(weights: Named) -> Any:
            return jvp(lambda w: of.logits(w, batch.x), (weights,), (direction,))

        linear: Any = vjp(pushed, of.weights, has_aux=True)
        z, pull, along = linear
        (out,) = pull(loss_curvature_of(of.recipe.loss).curve(z, batch.y, along))
        return {name: t.detach() for name, t in out.items()}

    def diagonal_estimate(self) -> Named:
        """:func:`diagonal` with one probe."""
        return diagonal(self.objective)

    def block(self) -> Tensor:
        """The block of the free weights, from the gradients of all logits."""
        of = self.objective
        total = torch.zeros(of.width, of.width, dtype=torch.float64, device=of.device)
        with of.open():
            for part in pulled_back(of, basis(of)):
                rows = columns(of, part).flatten(0, 1).double()
                total.addmm_(rows.T, rows)
        finite(of, of.spread(total.diagonal()))
        return total

    def factor(self) -> GgnRoot:
        """The gradients of all logits, stored.

        Raises:
            NotApplicable: they do not fit.
        """
        return GgnRoot(self.objective)


def exact_diagonal(objective: Objective) -> Named:
    r"""The diagonal :math:`\sum_n \sum_c (J_n^\top S_n e_c)^2` with :math:`\Lambda = S S^\top`.

    One forward and as many backward passes as the model has logits: use :func:`diagonal` for more than about 20.
    """
    with objective.open():
        return finite(objective, objective.result(squares(objective, basis(objective))))


def diagonal(objective: Objective, *, probes: int = 1, seed: int = 0) -> Named:
    r"""An unbiased, non-negative estimate of the diagonal, at the cost of one gradient per probe.

    :math:`\sum_n (J_n^\top S_n r_n)^2` with signs :math:`r_n` drawn for each example: the Gauss-Newton form of
    curvature propagation (Martens et al., Estimating the Hessian by Back-propagating Curvature, ICML 2012,
    arXiv:1206.6464). One probe has about a third of the error of one sampled label.

    Args:
        probes: independent draws to average over.
        seed: of the draws, which are keyed by example id: neither order nor batch size changes them.

    >>> import torch
    >>> from lacunar.data.examples import Examples
    >>> from lacunar.training.recipe import Recipe
    >>> rows = Examples.of(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0], [0.0]]))
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> diagonal(Objective.of(model, rows, Recipe(loss="squared_error")))  # the sum of x squared: one logit, so exact
    {'weight': tensor([[1., 4.]])}
    """

    def signs(of: LossCurvature, z: Tensor, y: Tensor, u: Tensor) -> Tensor:
        return of.root(z, y, (u > 0.5).to(u.dtype) * 2 - 1)

    return _averaged(objective, _drawn(objective, seed, "signs", probes, signs))


def sampled_diagonal(objective: Objective, *, samples: int = 1, seed: int = 0) -> Named:
    r"""An unbiased, non-negative estimate of the diagonal from sampled labels, one gradient per sample.

    :math:`\sum_n (\partial_\theta \log p(\hat y_n))^2`, :math:`\hat y_n` drawn from the model and keyed by example id.
    """
    labels = _drawn(objective, seed, "labels", samples, lambda of, z, y, u: of.sample(z, y, u))
    return _averaged(objective, labels)


def _averaged(objective: Objective, drawn: Cotangents) -> Named:
    with objective.open():
        totals = squares(objective, drawn)
    return finite(objective, objective.result({name: t / drawn.count for name, t in totals.items()}))


def _drawn(objective: Objective, seed: int, what: str, count: int, draw: Draw) -> Cotangents:
    if count < 1:
        raise BadInput(f"at least one draw per example is needed, got {count}")
    curvature, each = loss_curvature_of(objective.recipe.loss), math.prod(objective.output)

    def noise(ids: Tensor) -> Tensor:
        # Half a step off zero: a uniform of exactly 0 would be an infinite normal draw.
        whole = keyed_integers(seed_of(seed, what), 0, ids, count * each).double()
        return ((whole + 0.5) / 2**31).to(objective.dtype).reshape(len(ids), count, *objective.output)

    return Cotangents(lambda z, y, u: draw(curvature, z, y, u), count, noise)
