"""How far a model's predictions are from a teacher's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lacunar.core.errors import BadInput
from lacunar.data.batches import Batch
from lacunar.training import forward


def kl(model: nn.Module, teacher: nn.Module, batch: Batch, temperature: float = 1.0) -> Tensor:
    r"""The divergence of a model from a teacher, mean over the examples of a prepared batch; in [0, inf) nats.

    .. math:: \frac{T^2}{n} \sum_i KL\big(\mathrm{softmax}(z_i^{teacher} / T) \,\|\, \mathrm{softmax}(z_i / T)\big)

    The factor :math:`T^2` keeps the scale of gradients (Hinton et al., arXiv:1503.02531, section 2). A single logit
    stands for two classes; of sequences, positions with the label -100 do not count. No gradient reaches the teacher,
    which runs in the mode that it is in.

    Raises:
        BadInput: a temperature that is not positive.
    """
    if not temperature > 0:
        raise BadInput(f"temperature must be > 0, got {temperature}")
    with torch.no_grad():
        target = _log_probabilities(teacher, batch, temperature)
    apart = F.kl_div(_log_probabilities(model, batch, temperature), target, reduction="none", log_target=True).sum(-1)
    return temperature**2 * _per_example(apart, batch.y).mean()


def _log_probabilities(model: nn.Module, batch: Batch, temperature: float) -> Tensor:
    z = forward.full_precision(forward.logits(model, batch.x))
    return F.log_softmax((forward.two_sided(z) if z.ndim <= 2 else z) / temperature, -1)


def _per_example(apart: Tensor, y: Tensor) -> Tensor:
    if apart.ndim == 1:
        return apart
    counted = y != -100
    return (apart * counted).sum(1) / counted.sum(1).clamp(min=1)
