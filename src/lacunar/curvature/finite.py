"""Refusing curvature that is NaN or infinite, with the name of the layer that makes it so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp

from lacunar.core import named
from lacunar.core.errors import NotApplicable, sample_of
from lacunar.core.named import Named
from lacunar.curvature.objective import Objective
from lacunar.data.batches import Inputs


def finite(objective: Objective, values: Named) -> Named:
    """``values``, if all of them are numbers.

    Raises:
        NotApplicable: they are not; the weights and, where it can be found, the layer are named.
    """
    bad = named.not_finite(values)
    if bad:
        raise NotApplicable(
            f"the curvature is NaN or infinite at {sample_of(bad)}: {_cause(objective)}; smooth it there"
        )
    return values


def _cause(objective: Objective) -> str:
    with objective.open():
        for batch in objective.batches():
            for name, x in _inputs(objective, batch.x):
                if bool(x.isfinite().all()) and not _smooth(objective, name, x):
                    kind = type(objective.model.get_submodule(name)).__name__
                    return f"{kind} {name or 'itself'!r} has no finite derivatives at its inputs"
    return "the model, or its loss, has no finite derivatives at these examples"


def _inputs(objective: Objective, x: Inputs) -> Iterator[tuple[str, Tensor]]:
    """What each layer was given, in the order in which they end: inner layers before those that hold them."""
    seen: list[tuple[str, Tensor]] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            single = len(args) == 1 and isinstance(args[0], Tensor) and isinstance(output, Tensor)
            if single and args[0].is_floating_point():
                seen.append((name, args[0].detach().clone()))

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in objective.model.named_modules()]
    try:
        objective.logits(objective.weights, x)
    finally:
        for handle in handles:
            handle.remove()
    yield from seen


def _smooth(objective: Objective, name: str, x: Tensor) -> bool:
    module, start = objective.model.get_submodule(name), f"{name}." if name else ""
    every = {**objective.fixed, **objective.weights}
    own = {key.removeprefix(start): t for key, t in every.items() if key.startswith(start)}

    def call(t: Tensor) -> Tensor:
        out: Tensor = functional_call(module, own, (t.clone(),))
        return out

    leaf, ones = x.requires_grad_(), torch.ones_like(x)
    (first,) = torch.autograd.grad(call(leaf).sum(), leaf, create_graph=True, materialize_grads=True)
    found = [first.detach(), jvp(call, (x.detach(),), (ones,))[1]]
    if first.requires_grad:
        found += torch.autograd.grad(first.sum(), leaf, materialize_grads=True)
    return all(bool(t.isfinite().all()) for t in found)
