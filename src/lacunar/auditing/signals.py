"""What is read off the logits of single examples, in float64."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lacunar.auditing.trial import Trial
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.examples import Source
from lacunar.training import forward

_SMALLEST = 1e-12


def class_labels(source: Source) -> Tensor:
    """The labels of ``source`` as int64 classes ``[n]``, on the CPU.

    Raises:
        NotApplicable: labels that are not one class per example (regression, sequences).
    """
    y = source.y.detach().cpu()
    if y.ndim != 1 or (y.is_floating_point() and bool((y != y.round()).any())):
        raise NotApplicable("this needs one class label per example; these labels are not classes")
    return y.long()


def class_logits(trial: Trial, split: str) -> Tensor:
    """Logits with one column per class, ``[n, classes]``.

    Raises:
        BadInput: logits that are NaN or infinite, or no examples.
        NotApplicable: outputs that are not one row of class scores per example.
    """
    _some(trial, split)
    z = trial.logits(split)
    _finite(z, split)
    return _rows(z)


def margins(trial: Trial, split: str) -> Tensor:
    r"""The confidence margins :math:`\phi` of a part, ``[n]`` float64; raises as :func:`class_logits`."""
    _some(trial, split)
    class_labels(trial.part(split))
    found = trial.signal(split, _margin)
    _finite(found, split)
    return found


def _margin(z: Tensor, y: Tensor) -> Tensor:
    rows = _rows(z)
    # A class with the logit minus infinity would have no part in the sum, and nobody would notice.
    return forward.margin(rows, y).masked_fill(~torch.isfinite(rows).all(1), float("nan"))


def _rows(z: Tensor) -> Tensor:
    if z.ndim > 2:
        raise NotApplicable(f"this needs one row of class scores per example; the logits have shape {tuple(z.shape)}")
    return forward.two_sided(z)


def _some(trial: Trial, split: str) -> None:
    if not trial.part(split):
        raise BadInput(f"there are no {split} examples, so nothing can be measured on them")


def _finite(found: Tensor, split: str) -> None:
    if not bool(torch.isfinite(found).all()):
        raise BadInput(f"the model's logits on the {split} examples hold NaN or infinity, so nothing can be measured")


def entropy(z: Tensor) -> Tensor:
    r"""The entropy of the predicted distribution, ``[n]`` in [0, ln classes]."""
    log_p = z.double().log_softmax(1)
    return -(log_p.exp() * log_p).sum(1)


def modified_entropy(z: Tensor, y: Tensor) -> Tensor:
    r"""The entropy that knows the label, ``[n]``, >= 0; 0 for a sure and right prediction.

    :math:`-(1 - p_y) \log p_y - \sum_{i \ne y} p_i \log(1 - p_i)`, probabilities clamped to
    [1e-12, 1 - 1e-12] (Song and Mittal, USENIX Security 2021, equation 8).
    """
    p = z.double().softmax(1).clamp(_SMALLEST, 1 - _SMALLEST)
    own = y[:, None]
    p_y = p.gather(1, own).squeeze(1)
    others = (p * (-p).log1p()).scatter(1, own, 0.0).sum(1)
    return -(1 - p_y) * p_y.log() - others


def top_two_margin(z: Tensor) -> Tensor:
    """The largest logit minus the second largest, ``[n]``, >= 0."""
    best = z.double().topk(2, dim=1).values
    return best[:, 0] - best[:, 1]


def features(z: Tensor, y: Tensor) -> Tensor:
    r"""What an attacker looks at: :math:`\phi`, entropy, modified entropy, top-two margin; ``[n, 4]``."""
    return torch.stack([forward.margin(z, y), entropy(z), modified_entropy(z, y), top_two_margin(z)], dim=1)


def accuracy(z: Tensor, y: Tensor) -> float:
    """The share of examples whose largest logit is that of their label, in [0, 1]; NaN for no examples."""
    if len(y) == 0:
        return float("nan")
    return float((z.argmax(1) == y).double().mean()) if z.ndim > 1 and z.shape[1] > 1 else _binary(z, y)


def _binary(z: Tensor, y: Tensor) -> float:
    return float(((z.reshape(-1) > 0).long() == y.long()).double().mean())


def without_classes(z: Tensor, y: Tensor, classes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Logits and labels of the examples whose label is not one of ``classes``."""
    kept = ~torch.isin(y, torch.tensor(list(classes), dtype=y.dtype))
    return z[kept], y[kept]
