"""Comparing masks: how much of one topology is in another, against chance and against noise.

Masks must have the same keys and shapes. They are compared over all tensors that they hold: pass
:func:`part` of them, so that layers that are always dense do not make any two masks look alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.core.masks import Mask
from lacunar.core.named import Named


def part(mask: Mapping[str, Tensor], names: Iterable[str]) -> Mask:
    """The tensors of these names."""
    return {name: mask[name] for name in names}


def filters(mask: Mapping[str, Tensor]) -> Mask:
    """Which rows (filters, units) of each matrix or kernel have a live weight: bool ``[rows]`` each."""
    return {name: m.flatten(1).any(1) for name, m in mask.items() if m.ndim > 1}


def shared(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> int:
    """Weights that live in both: |A and B|."""
    named.same_keys(a, b)
    return sum(int(torch.count_nonzero(a[name] & b[name])) for name in a)


def revived(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> int:
    """Weights that were pruned before and live after; the opposite order counts the removed ones."""
    named.same_keys(before, after)
    return sum(int(torch.count_nonzero(after[name] & ~before[name])) for name in before)


def overlap(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """Intersection over union, in [0, 1]; 1 for two empty masks. Read it beside :func:`chance`."""
    both = shared(a, b)
    union = both + revived(a, b) + revived(b, a)
    return both / union if union else 1.0


def churn(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """The share of all weights that live in exactly one of the two: small wherever both are very sparse."""
    return (revived(a, b) + revived(b, a)) / max(named.count(a), 1)


def chance(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    r"""The overlap to expect of independent masks with the densities of these two in each tensor.

    :math:`\sum_l \rho_l \rho'_l d_l / \sum_l (\rho_l + \rho'_l - \rho_l \rho'_l) d_l`; for one density
    :math:`\rho` that is :math:`\rho / (2 - \rho)`.
    """
    named.same_keys(a, b)
    meet = union = 0.0
    for name in a:
        size = max(a[name].numel(), 1)
        one, two = int(a[name].sum()), int(b[name].sum())
        meet += one * two / size
        union += one + two - one * two / size
    return meet / union if union else 1.0


def kappa(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """Cohen's kappa of the two as raters of every weight: 1 = equal, 0 = chance; 1 if both are constant and equal."""
    size = max(named.count(a), 1)
    one, two = masks.count(a) / size, masks.count(b) / size
    expected = one * two + (1 - one) * (1 - two)
    return 1.0 if expected == 1 else (1 - churn(a, b) - expected) / (1 - expected)


def per_layer(
    measure: Callable[[Mask, Mask], float], a: Mapping[str, Tensor], b: Mapping[str, Tensor]
) -> dict[str, float]:
    """``measure`` of each pair of tensors by itself."""
    named.same_keys(a, b)
    return {name: measure({name: a[name]}, {name: b[name]}) for name in a}


@dataclass(frozen=True)
class Margin:
    """How far apart two prunings to the same count can be, from how far apart the weights are.

    Attributes:
        epsilon: the largest difference of two absolute weights.
        movable: the most weights that can leave the mask, and as many that can enter it.
        bound: what the overlap of the two masks cannot be below.
    """

    epsilon: float
    movable: int
    bound: float


def margin(weights: Mapping[str, Tensor], reference: Mapping[str, Tensor], kept: int | Mapping[str, int]) -> Margin:
    r"""A lower bound on the overlap of the masks that magnitude pruning makes of two weight vectors.

    With :math:`\epsilon = \max_i ||w_i| - |w'_i||` and :math:`\tau` the k-th largest :math:`|w'|`, a weight leaves the
    mask M' of the reference only if :math:`|w'_i| \le \tau + 2\epsilon`, and enters only if
    :math:`|w'_i| \ge \tau - 2\epsilon`, since order statistics move by at most :math:`\epsilon`. As many enter as
    leave, so with a the smaller of the two numbers the overlap is at least :math:`(k - a)/(k + a)`.

    Args:
        kept: k over all tensors, or for each of them (then the numbers a are added up).

    Raises:
        BadInput: other keys or shapes, a count larger than a tensor.
    """
    named.same_keys(weights, reference)
    if isinstance(kept, int):
        total, parts = kept, [_movable(dict(weights), dict(reference), kept)]
    else:
        total = sum(kept.values())
        parts = [_movable({n: weights[n]}, {n: reference[n]}, k) for n, k in kept.items()]
    movable = sum(a for _, a in parts)
    bound = (total - movable) / (total + movable) if total else 1.0
    return Margin(max(e for e, _ in parts), movable, bound)


def _movable(weights: Named, reference: Named, k: int) -> tuple[float, int]:
    ours, theirs = named.flat(weights).double().abs(), named.flat(reference).double().abs()
    epsilon = float((ours - theirs).abs().max()) if ours.numel() else 0.0
    if k == 0:
        return epsilon, 0
    inside = named.flat(masks.top_k({"all": theirs}, k))
    threshold = theirs[inside].min()
    leaving = int((inside & (theirs <= threshold + 2 * epsilon)).sum())
    entering = int((~inside & (theirs >= threshold - 2 * epsilon)).sum())
    return epsilon, min(leaving, entering)


def near_threshold(weights: Mapping[str, Tensor], k: int, epsilons: Sequence[float]) -> list[int]:
    """How many weights lie within 2 epsilon of the k-th largest magnitude, for each epsilon: what noise can move.

    Raises:
        BadInput: k outside [1, number of weights].
    """
    size = named.flat(weights).abs().double()
    if not 1 <= k <= size.numel():
        raise BadInput(f"there is no {k}-th largest of {size.numel()} weights")
    distance = (size - size.kthvalue(size.numel() - k + 1).values).abs()
    return [int((distance <= 2 * epsilon).sum()) for epsilon in epsilons]


def keep_frequency(masks: Sequence[Mapping[str, Tensor]]) -> Named:
    """How often each weight lives over K masks, as (count + 1/2) / (K + 1): float64, strictly inside (0, 1).

    Raises:
        BadInput: no masks, or masks of different models.
    """
    if not masks:
        raise BadInput("a keep-frequency needs at least one mask")
    counts = {name: m.double() for name, m in masks[0].items()}
    for mask in masks[1:]:
        counts = named.add(counts, mask)
    return named.apply(lambda c: (c + 0.5) / (len(masks) + 1), counts)


def log_likelihood_ratio(mask: Mapping[str, Tensor], one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    r"""How much likelier a mask is under one family of keep-frequencies than under another; > 0 speaks for ``one``.

    :math:`\sum_i M_i \ln(q_i / q'_i) + (1 - M_i) \ln((1 - q_i) / (1 - q'_i))`. Weights are not independent: compare
    ranks, never read it as a probability.
    """
    terms = named.apply(
        lambda m, p, q: torch.where(m, (p / q).log(), ((1 - p) / (1 - q)).log()), dict(mask), dict(one), dict(other)
    )
    return float(sum(t.sum() for t in terms.values()))
