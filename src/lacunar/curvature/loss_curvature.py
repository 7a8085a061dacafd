"""The curvature of each loss in its logits: what turns Jacobians into Gauss-Newton and Fisher matrices."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lacunar.core.errors import NotApplicable, sample_of
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example_passes import Cotangents


@dataclass(frozen=True)
class LossCurvature:
    r"""The Hessian :math:`\Lambda = S S^\top` of a loss in the logits of one example.

    All three functions take ``z`` and ``y`` of ``n`` examples and act on ``[n, ..., *output]``: extra axes in the
    middle stand for several vectors per example.

    Attributes:
        curve: :math:`v \mapsto \Lambda v`.
        root: :math:`r \mapsto S r`; ``r`` has the shape of the logits.
        sample: from uniforms in (0, 1), the gradient :math:`g` of :math:`-\log p(\hat y)` for a label drawn from the
            model, so that :math:`E[g g^\top] = \Lambda`.
    """

    curve: Callable[[Tensor, Tensor, Tensor], Tensor]
    root: Callable[[Tensor, Tensor, Tensor], Tensor]
    sample: Callable[[Tensor, Tensor, Tensor], Tensor]


def loss_curvature_of(loss: str) -> LossCurvature:
    """The curvature of a loss named as in :data:`lacunar.training.forward.LOSSES`.

    Raises:
        NotApplicable: a loss whose curvature in the logits is not known here.
    """
    if loss not in LOSS_CURVATURES:
        raise NotApplicable(
            f"the Gauss-Newton matrix of the loss {loss!r} is not known; it is for {sample_of(LOSS_CURVATURES)}: "
            "use the Hessian instead"
        )
    return LOSS_CURVATURES[loss]


def basis(objective: Objective) -> Cotangents:
    r"""The columns of S of each example: pulled back, they are rows R with :math:`R^\top R` the Gauss-Newton matrix."""
    curvature, count = loss_curvature_of(objective.recipe.loss), math.prod(objective.output)
    units = torch.eye(count, dtype=objective.dtype, device=objective.device).reshape(1, count, *objective.output)
    return Cotangents(lambda z, y, noise: curvature.root(z, y, units.expand(len(z), *units.shape[1:])), count)


def _share(z: Tensor, y: Tensor) -> Tensor:
    # The weight of each position in the loss of its example: 1, or 1/(counted positions) in sequences.
    if y.is_floating_point():
        return torch.ones(z.shape[:-1], dtype=z.dtype, device=z.device)
    counted = (y != -100).to(z.dtype)
    return counted / counted.reshape(len(y), -1).sum(1).clamp(min=1).reshape(-1, *[1] * (y.ndim - 1))


def _between(t: Tensor, like: Tensor) -> Tensor:
    # [n, *output] broadcast against [n, ..., *output].
    return t.reshape(t.shape[0], *[1] * (like.ndim - t.ndim), *t.shape[1:])


def _softmax_curve(z: Tensor, y: Tensor, v: Tensor) -> Tensor:
    p, share = _between(z.softmax(-1), v), _between(_share(z, y)[..., None], v)
    return share * (p * v - p * (p * v).sum(-1, keepdim=True))


def _softmax_root(z: Tensor, y: Tensor, r: Tensor) -> Tensor:
    p, share = _between(z.softmax(-1), r), _between(_share(z, y)[..., None], r)
    half = p.sqrt()
    return share.sqrt() * (half * r - p * (half * r).sum(-1, keepdim=True))


def _softmax_sample(z: Tensor, y: Tensor, u: Tensor) -> Tensor:
    p, share = _between(z.softmax(-1), u), _between(_share(z, y)[..., None], u)
    label = (p.cumsum(-1) < u[..., :1]).sum(-1).clamp(max=z.shape[-1] - 1)
    return share.sqrt() * (p - F.one_hot(label, z.shape[-1]).to(p.dtype))


def _logistic_curve(z: Tensor, y: Tensor, v: Tensor) -> Tensor:
    p = _between(z.sigmoid(), v)
    return p * (1 - p) * v


def _logistic_root(z: Tensor, y: Tensor, r: Tensor) -> Tensor:
    p = _between(z.sigmoid(), r)
    return (p * (1 - p)).sqrt() * r


def _logistic_sample(z: Tensor, y: Tensor, u: Tensor) -> Tensor:
    p = _between(z.sigmoid(), u)
    return p - (u < p).to(p.dtype)


LOSS_CURVATURES: dict[str, LossCurvature] = {
    "cross_entropy": LossCurvature(_softmax_curve, _softmax_root, _softmax_sample),
    "binary_cross_entropy": LossCurvature(_logistic_curve, _logistic_root, _logistic_sample),
    "squared_error": LossCurvature(
        curve=lambda z, y, v: v, root=lambda z, y, r: r, sample=lambda z, y, u: torch.special.ndtri(u)
    ),
}
"""By loss. Softmax: Λ = diag p - ppᵀ, S = diag √p - p√pᵀ; logistic: Λ = p(1-p); squared error: Λ = I."""
