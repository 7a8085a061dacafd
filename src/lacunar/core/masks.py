"""Which weights: a mask has a bool for each, and says which are live (not pruned) or free (may move)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lacunar.core import named
from lacunar.core.errors import BadInput, sample_of
from lacunar.core.named import Named

Mask: TypeAlias = dict[str, Tensor]
"""A ``Named`` of bool tensors; True = live (may be other than zero) in ``mask=``, free (may move) in ``where=``."""


def count(mask: Mapping[str, Tensor]) -> int:
    """The number of True entries of a mask."""
    return sum(int(t.sum()) for t in mask.values())


def density(mask: Mapping[str, Tensor]) -> float:
    """The share of True entries, in [0, 1]."""
    return count(mask) / max(named.count(mask), 1)


def full(like: Mapping[str, Tensor], value: bool) -> Mask:
    """A mask with every entry ``value``."""
    return {name: torch.full_like(t, value, dtype=torch.bool) for name, t in like.items()}


def both(a: Mapping[str, Tensor] | None, b: Mapping[str, Tensor] | None) -> Mask | None:
    """The intersection of two masks, where None stands for "everything"."""
    if a is None or b is None:
        one = b if a is None else a
        return None if one is None else dict(one)
    return named.apply(torch.logical_and, a, b)


def keep(a: Mapping[str, Tensor], mask: Mapping[str, Tensor] | None) -> Named:
    """``a`` with exact zeros outside ``mask``, also where ``a`` is NaN or negative."""
    if mask is None:
        return dict(a)
    return named.apply(lambda x, m: x.masked_fill(~m, 0.0), a, mask)


def choose(mask: Mapping[str, Tensor], inside: Mapping[str, Tensor], outside: Mapping[str, Tensor]) -> Named:
    """``inside`` where the mask is True, ``outside`` elsewhere, bit for bit."""
    return named.apply(torch.where, mask, inside, outside)


def top_k(scores: Mapping[str, Tensor], k: int) -> Mask:
    """The mask of the ``k`` largest scores over all tensors; exactly ``k``, ties go to the lowest flat index.

    Raises:
        BadInput: ``k`` outside [0, number of scores], or a score that is NaN.
    """
    vector = named.flat(scores)
    if not 0 <= k <= vector.numel():
        raise BadInput(f"cannot keep {k} of {vector.numel()} weights")
    if bool(torch.isnan(vector).any()):
        bad = [name for name, t in scores.items() if bool(torch.isnan(t).any())]
        raise BadInput(f"scores are NaN in {sample_of(bad)}; a rank needs finite scores")
    chosen = torch.zeros_like(vector, dtype=torch.bool)
    if k > 0:
        least = vector.kthvalue(vector.numel() - k + 1).values
        chosen = vector > least
        ties = (vector == least).nonzero().reshape(-1)
        chosen[ties[: k - int(chosen.sum())]] = True
    return named.unflat(chosen, scores)


def random_k(like: Mapping[str, Tensor], k: int, generator: torch.Generator) -> Mask:
    """A mask of exactly ``k`` entries drawn uniformly without replacement."""
    draw = torch.randperm(named.count(like), generator=generator).to(next(iter(like.values())).device)
    return top_k(named.unflat(-draw.double(), like), k)


def describe(mask: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """One row per weight tensor: ``{"weight", "selected", "of", "share"}``, and a last row for all of them."""
    rows = [_row(name, {name: m}) for name, m in mask.items()]
    return [*rows, _row("all", mask)]


def _row(name: str, part: Mapping[str, Tensor]) -> dict[str, Any]:
    return {"weight": name, "selected": count(part), "of": named.count(part), "share": density(part)}
