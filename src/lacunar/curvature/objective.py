"""A model and its examples as functions of the weights alone, checked for determinism at the door."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.named import Mask, Named
from lacunar.core.rng import isolated
from lacunar.data.batches import Batch, Inputs
from lacunar.data.examples import Source
from lacunar.training import forward
from lacunar.training.recipe import Recipe

HOST_BYTES = 256 << 20
DEVICE_SHARE = 0.25
FEW = 8


@dataclass(frozen=True, eq=False)
class Objective:
    """What curvature is computed of: weights in, logits out.

    Attributes:
        weights: the weight tensors in which the mask has a True entry, detached, in full precision.
        fixed: everything else that a forward pass reads: other weights, and buffers.
        output: shape of the logits of one example.
        saved: bytes that a forward pass keeps for its backward, per example.
    """

    model: nn.Module
    examples: Source
    recipe: Recipe
    mask: Mask | None
    weights: Named
    fixed: Named
    output: tuple[int, ...] = ()
    saved: int = 0

    @classmethod
    def of(cls, model: nn.Module, examples: Source, recipe: Recipe, mask: Mask | None = None) -> Objective:
        """Check the door and open the objective.

        Raises:
            BadInput: no examples, a mask of another model, or one that is False everywhere.
            NotApplicable: the loss of an example is not a fixed function of the weights; the message says why.
        """
        if len(examples) == 0:
            raise BadInput("there are no examples to differentiate on; give at least one")
        live = named.parameters(model)
        if mask is not None:
            named.same_keys(live, mask)
            mask = {name: m.to(live[name].device) for name, m in mask.items()}
        chosen = [name for name in live if mask is None or bool(mask[name].any())]
        if not chosen:
            raise BadInput("no weight is selected: the mask is False everywhere, or all weights are frozen")
        dtype = torch.float64 if live[chosen[0]].dtype == torch.float64 else torch.float32
        everything = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        full = {name: t.detach().to(dtype) if t.is_floating_point() else t for name, t in everything.items()}
        inside = {name: full[name] for name in chosen}
        objective = cls(model, examples, recipe, mask, inside, {k: v for k, v in full.items() if k not in inside})
        with objective.open():
            return objective._checked()

    @property
    def device(self) -> torch.device:
        return next(iter(self.weights.values())).device

    @property
    def dtype(self) -> torch.dtype:
        return next(iter(self.weights.values())).dtype

    @contextmanager
    def open(self) -> Iterator[None]:
        """The state in which everything is computed: eval mode, gradients on, no autocast, no fused RNN kernels."""
        with (
            forward.eval_mode(self.model),
            torch.enable_grad(),
            torch.autocast(self.device.type, enabled=False),
            _plain_recurrence() if _recurrent(self.model) else nullcontext(),
        ):
            yield

    def only(self, names: Sequence[str]) -> Objective:
        """The same objective in which only these weights vary."""
        rest = {name: w for name, w in self.weights.items() if name not in names}
        return replace(self, weights={n: self.weights[n] for n in names}, fixed={**self.fixed, **rest})

    def logits(self, weights: Mapping[str, Tensor], x: Inputs) -> Tensor:
        """Logits ``[n, ...]`` of prepared inputs under other values of the weights."""

        def call(*args: Any, **keywords: Any) -> Any:
            return functional_call(self.model, {**self.fixed, **weights}, args, keywords)

        return forward.logits(call, x)

    def losses(self, weights: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The recipe's loss of each example, ``[n]``."""
        return self.recipe.losses(self.logits(weights, batch.x), batch.y)

    def batches(self, size: int) -> Iterator[Batch]:
        """All examples in stored order, prepared, the last partial batch included."""
        for batch in self.examples.batches(size):
            yield replace(batch, x=self.prepared(batch.x))

    def prepared(self, x: Inputs) -> Inputs:
        """Inputs as the model takes them, in the precision of the weights."""
        ready = self.recipe.prepare(x)
        if isinstance(ready, dict):
            return {k: v.to(self.dtype) if v.is_floating_point() else v for k, v in ready.items()}
        return ready.to(self.dtype) if ready.is_floating_point() else ready

    def fits(self, bytes_each: int, most: int) -> int:
        """How many things of ``bytes_each`` fit the memory budget: 256 MiB, or a quarter of what a GPU has free."""
        return max(1, min(most, budget(self.device) // max(bytes_each, 1)))

    def zeros(self) -> Named:
        """A float64 total for each weight in objective."""
        return {name: torch.zeros_like(w, dtype=torch.float64) for name, w in self.weights.items()}

    def result(self, values: Mapping[str, Tensor]) -> Named:
        """``values`` with the model's keys, in the precision of the weights, exactly 0 outside the mask."""
        out = {}
        for name, w in named.parameters(self.model).items():
            value = values[name].to(self.dtype) if name in values else torch.zeros_like(w, dtype=self.dtype)
            out[name] = value if self.mask is None else value.masked_fill(~self.mask[name], 0.0)
        return out

    def tangent(self, direction: Mapping[str, Tensor]) -> Named:
        """A direction as the weights in objective take it: masked, and in their precision."""
        named.same_keys(named.parameters(self.model), direction)
        inside = named.keep(direction, self.mask)
        return {name: inside[name].to(w) for name, w in self.weights.items()}

    def selected(self, name: str) -> Tensor | None:
        """Which entries of a weight are inside the mask, None for all."""
        return None if self.mask is None or bool(self.mask[name].all()) else self.mask[name]

    def vector(self, values: Mapping[str, Tensor]) -> Tensor:
        """The entries inside the mask as one vector, in key order."""
        cuts = {name: self.selected(name) for name in self.weights}
        return torch.cat([values[n].reshape(-1) if m is None else values[n][m] for n, m in cuts.items()])

    def spread(self, vector: Tensor) -> Named:
        """The inverse of :meth:`vector`, 0 outside the mask."""
        if self.mask is None:
            return named.unflat(vector, self.weights)
        out = {n: torch.zeros_like(w, dtype=vector.dtype) for n, w in named.parameters(self.model).items()}
        where = {n: self.mask[n] for n in self.weights}
        pieces = torch.split(vector, [int(m.sum()) for m in where.values()])
        return out | {n: out[n].masked_scatter(m, piece) for (n, m), piece in zip(where.items(), pieces, strict=True)}

    def _checked(self) -> Objective:
        few = torch.arange(min(FEW, len(self.examples)))
        raw = self.examples.inputs_at(few)
        if not _equal(raw, self.examples.inputs_at(few)):
            raise NotApplicable(
                "two readings of the same example differ: the data set augments at random, and curvature needs fixed "
                "examples; leave augmentation to recipe.augment, which is off here"
            )
        for name, module in self.model.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and (module.training or module.running_mean is None):
                raise NotApplicable(
                    f"BatchNorm {name!r} normalises by the statistics of the batch even in eval mode, so the loss of "
                    "one example depends on the others; let it track running statistics and follow model.eval()"
                )
        x = self.prepared(raw)
        with isolated(0, "door"):
            z, saved = _with_cost(self, x)
            again = self.logits(self.weights, x).detach()
            alone = self.logits(self.weights, _first(x)).detach()
        if not z.requires_grad:
            raise BadInput("the logits do not depend on the selected weights; select others")
        z = z.detach()
        self._agree(z, again, "two forward passes over the same examples")
        self._agree(z[:1], alone, "an example alone and the same example within a batch")
        return replace(self, output=tuple(z.shape[1:]), saved=saved // len(few))

    def _agree(self, a: Tensor, b: Tensor, what: str) -> None:
        gap, size = float((a - b).abs().max()), float(a.abs().max())
        if not gap <= 1e-4 * size + 1e-6:
            raise NotApplicable(
                f"{what} give logits that differ by {gap:.2g}, so the loss is not a fixed function of the weights; "
                "dropout that stays active in eval mode and layers that mix examples are the usual causes: remove them"
            )


def budget(device: torch.device) -> int:
    """Bytes that one step of a computation may take."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * DEVICE_SHARE)
    return HOST_BYTES


def _with_cost(objective: Objective, x: Inputs) -> tuple[Tensor, int]:
    own = {w.data_ptr() for w in (*objective.weights.values(), *objective.fixed.values())}
    kept: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        if t.data_ptr() not in own:
            kept[t.data_ptr()] = t.numel() * t.element_size()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        z = objective.logits({name: w.detach().requires_grad_() for name, w in objective.weights.items()}, x)
    return z, sum(kept.values())


@contextmanager
def _plain_recurrence() -> Iterator[None]:
    # Fused RNN kernels have no forward mode, no batching rule, and on a GPU no second derivative.
    fused = torch.backends.mkldnn.flags(enabled=False)
    with torch.backends.cudnn.flags(enabled=False):
        with _without_tf32_advice():
            fused.__enter__()
        try:
            yield
        finally:
            with _without_tf32_advice():
                fused.__exit__(None, None, None)


@contextmanager
def _without_tf32_advice() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TF32 acceleration")  # setting the flags touches one for Intel GPUs
        yield


def _recurrent(model: nn.Module) -> bool:
    return any(isinstance(module, nn.RNNBase) for module in model.modules())


def _first(x: Inputs) -> Inputs:
    return {k: v[:1] for k, v in x.items()} if isinstance(x, dict) else x[:1]


def _equal(a: Inputs, b: Inputs) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return all(torch.equal(a[k], b[k]) for k in a)
    assert isinstance(a, Tensor) and isinstance(b, Tensor)
    return torch.equal(a, b)
