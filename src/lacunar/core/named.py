"""One shape for everything per weight: ``Named``, a dict of tensors keyed as ``named_parameters()``."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from lacunar.core.errors import BadInput, sample_of

Named: TypeAlias = dict[str, Tensor]
"""One tensor per trainable parameter: same keys, same shapes, in the order of ``named_parameters()``."""

Mask: TypeAlias = dict[str, Tensor]
"""A ``Named`` of bool tensors; True = live (may be non-zero, or may move)."""


def parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The trainable parameters themselves, by name: writing to them changes the model."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def weights(model: nn.Module) -> Named:
    """Detached copies of the trainable weights."""
    return {name: p.detach().clone() for name, p in parameters(model).items()}


def gradient(loss: Tensor, model: nn.Module) -> Named:
    """The gradient of a scalar ``loss`` in the trainable weights; zeros where the loss does not depend on a weight."""
    live = parameters(model)
    grads = torch.autograd.grad(loss, list(live.values()), allow_unused=True)
    return {
        name: torch.zeros_like(p) if g is None else g.detach() for (name, p), g in zip(live.items(), grads, strict=True)
    }


@torch.no_grad()
def write(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Copy ``values`` into the weights of ``model``.

    Raises:
        BadInput: a key or a shape that the model does not have.
    """
    live = dict(model.named_parameters())
    for name, value in values.items():
        if name not in live:
            raise BadInput(f"the model has no weight {name!r}; it has {sample_of(live)}")
        if live[name].shape != value.shape:
            raise BadInput(f"weight {name!r} has shape {tuple(live[name].shape)}, but {tuple(value.shape)} was given")
        live[name].copy_(value)


def same_keys(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> None:
    """Raise :class:`BadInput` unless ``a`` and ``b`` have the same keys and shapes."""
    wrong = sorted(set(a) ^ set(b)) or [n for n in a if a[n].shape != b[n].shape]
    if wrong:
        raise BadInput(f"the two do not belong to the same model: they differ at {sample_of(wrong)}")


def apply(fn: Callable[..., Tensor], *parts: Mapping[str, Tensor]) -> Named:
    """``fn`` entry by entry over tensors of the same name."""
    for other in parts[1:]:
        same_keys(parts[0], other)
    return {name: fn(*(part[name] for part in parts)) for name in parts[0]}


def add(a: Mapping[str, Tensor], b: Mapping[str, Tensor], scale: float = 1.0) -> Named:
    """``a + scale * b``."""
    return apply(lambda x, y: x + scale * y, a, b)


def scale(a: Mapping[str, Tensor], factor: float) -> Named:
    """``factor * a``."""
    return apply(lambda x: factor * x, a)


def dot(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """The inner product over all weights, accumulated in float64."""
    same_keys(a, b)
    return float(sum((a[n].double() * b[n].double()).sum() for n in a))


def norm(a: Mapping[str, Tensor]) -> float:
    """The Euclidean norm over all weights, accumulated in float64."""
    return math.sqrt(dot(a, a))


def count(a: Mapping[str, Tensor]) -> int:
    """The number of entries; of a mask, see :func:`live`."""
    return sum(t.numel() for t in a.values())


def live(mask: Mapping[str, Tensor]) -> int:
    """The number of True entries of a mask."""
    return sum(int(t.sum()) for t in mask.values())


def density(mask: Mapping[str, Tensor]) -> float:
    """The share of True entries, in [0, 1]."""
    return live(mask) / max(count(mask), 1)


def flat(a: Mapping[str, Tensor]) -> Tensor:
    """All entries as one vector, in key order."""
    return torch.cat([t.reshape(-1) for t in a.values()]) if a else torch.zeros(0)


def unflat(vector: Tensor, like: Mapping[str, Tensor]) -> Named:
    """The inverse of :func:`flat`, with the keys and shapes of ``like``."""
    if vector.numel() != count(like):
        raise BadInput(f"a vector of {vector.numel()} entries cannot fill {count(like)} weights")
    parts = torch.split(vector, [t.numel() for t in like.values()])
    return {name: part.reshape(t.shape) for (name, t), part in zip(like.items(), parts, strict=True)}


def full(like: Mapping[str, Tensor], value: bool) -> Mask:
    """A mask with every entry ``value``."""
    return {name: torch.full_like(t, value, dtype=torch.bool) for name, t in like.items()}


def both(a: Mapping[str, Tensor] | None, b: Mapping[str, Tensor] | None) -> Mask | None:
    """The intersection of two masks, where None stands for "everything"."""
    if a is None or b is None:
        one = b if a is None else a
        return None if one is None else dict(one)
    return apply(torch.logical_and, a, b)


def keep(a: Mapping[str, Tensor], mask: Mapping[str, Tensor] | None) -> Named:
    """``a`` with exact zeros outside ``mask``, also where ``a`` is NaN or negative."""
    if mask is None:
        return dict(a)
    return apply(lambda x, m: x.masked_fill(~m, 0.0), a, mask)


def choose(mask: Mapping[str, Tensor], inside: Mapping[str, Tensor], outside: Mapping[str, Tensor]) -> Named:
    """``inside`` where the mask is True, ``outside`` elsewhere, bit for bit."""
    return apply(torch.where, mask, inside, outside)


def top_k(scores: Mapping[str, Tensor], k: int) -> Mask:
    """The mask of the ``k`` largest scores over all tensors; exactly ``k``, ties go to the lowest flat index.

    Raises:
        BadInput: ``k`` outside [0, number of scores], or a score that is NaN.
    """
    vector = flat(scores)
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
    return unflat(chosen, scores)


def random_k(like: Mapping[str, Tensor], k: int, generator: torch.Generator) -> Mask:
    """A mask of exactly ``k`` entries drawn uniformly without replacement."""
    draw = torch.randperm(count(like), generator=generator).to(next(iter(like.values())).device)
    return top_k(unflat(-draw.double(), like), k)


def not_finite(a: Mapping[str, Tensor]) -> list[str]:
    """The names of the tensors that hold NaN or infinity."""
    return [name for name, t in a.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]


def digest(a: Mapping[str, Tensor]) -> str:
    """A SHA-256 of names, shapes, dtypes and bytes: equal exactly when everything is bit-equal."""
    total = hashlib.sha256()
    for name in sorted(a):
        t = a[name].detach().cpu().contiguous()
        total.update(f"{name}|{tuple(t.shape)}|{t.dtype}|".encode())
        total.update(t.reshape(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b"")
    return total.hexdigest()
