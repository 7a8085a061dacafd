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
    """The number of entries; see :func:`lacunar.core.masks.count` for those that a mask has."""
    return sum(t.numel() for t in a.values())


def flat(a: Mapping[str, Tensor]) -> Tensor:
    """All entries as one vector, in key order."""
    return torch.cat([t.reshape(-1) for t in a.values()]) if a else torch.zeros(0)


def unflat(vector: Tensor, like: Mapping[str, Tensor]) -> Named:
    """The inverse of :func:`flat`, with the keys and shapes of ``like``."""
    if vector.numel() != count(like):
        raise BadInput(f"a vector of {vector.numel()} entries cannot fill {count(like)} weights")
    parts = torch.split(vector, [t.numel() for t in like.values()])
    return {name: part.reshape(t.shape) for (name, t), part in zip(like.items(), parts, strict=True)}


def not_finite(a: Mapping[str, Tensor]) -> list[str]:
    """The names of the tensors that hold NaN or infinity."""
    return [name for name, t in a.items() if not bool(torch.isfinite(_testable(t)).all())]


def _testable(t: Tensor) -> Tensor:
    # Floats of one byte have no arithmetic.
    return t.float() if t.is_floating_point() and t.element_size() == 1 else t


def digest(a: Mapping[str, Tensor]) -> str:
    """A SHA-256 of names, shapes, dtypes and bytes: equal exactly when everything is bit-equal."""
    total = hashlib.sha256()
    for name in sorted(a):
        t = a[name].detach().cpu().contiguous()
        total.update(f"{name}|{tuple(t.shape)}|{t.dtype}|".encode())
        total.update(t.reshape(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b"")
    return total.hexdigest()
