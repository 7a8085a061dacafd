"""A model and its examples as a function of the weights alone, checked for determinism at the door."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.masks import Mask
from lacunar.core.named import Named
from lacunar.core.rng import isolated
from lacunar.curvature.plain_kernels import plain_kernels
from lacunar.data.batches import Batch, Inputs
from lacunar.data.examples import Source
from lacunar.training import forward
from lacunar.training.recipe import Recipe

HOST_BYTES = 256 << 20
DEVICE_SHARE = 0.25
FEW, BATCH = 8, 128


@dataclass(frozen=True, eq=False)
class Objective:
    """What curvature is computed of, and the one argument of all that computes it: weights in, losses out.

    Make it once and use it for every quantity of the same weights and examples: the door is checked when it is made,
    by :meth:`of`. The weights are those of that moment; after the model has moved, make another.

    >>> import torch
    >>> from lacunar.curvature.per_example import norms, weighted_sum
    >>> from lacunar.data.examples import Examples
    >>> from lacunar.training.recipe import Recipe
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> _ = torch.nn.init.ones_(model.weight)
    >>> rows = Examples.of(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0], [0.0]]))
    >>> objective = Objective.of(model, rows, Recipe(loss="squared_error"))
    >>> weighted_sum(objective)  # z = (1, 2); the loss is (z - y)^2 / 2, so its gradient is z x
    {'weight': tensor([[1., 4.]])}
    >>> norms(objective)
    tensor([1., 4.], dtype=torch.float64)

    Attributes:
        free: the weights that may move, None for all: only their block is computed, and results are 0 outside.
        size: examples at a time, None for what fits; it changes nothing but memory.
        weights: the weight tensors in which ``free`` has a True entry, detached, in full precision.
        fixed: everything else that a forward pass reads: other weights, and buffers.
        output: shape of the logits of one example.
        saved: bytes that a forward pass keeps for its backward, per example.
    """

    model: nn.Module
    examples: Source
    recipe: Recipe
    free: Mask | None
    size: int | None
    weights: Named
    fixed: Named
    output: tuple[int, ...] = ()
    saved: int = 0

    @classmethod
    def of(
        cls,
        model: nn.Module,
        examples: Source,
        recipe: Recipe,
        free: Mask | None = None,
        size: int | None = None,
    ) -> Objective:
        """Check the door.

        Raises:
            BadInput: no examples, a mask of another model, one that is False everywhere, or a size below 1.
            NotApplicable: the loss of an example is not a fixed function of the weights; the message says why.
        """
        if len(examples) == 0:
            raise BadInput("there are no examples to differentiate on; give at least one")
        if size is not None and size < 1:
            raise BadInput(f"size is how many examples are taken at a time, at least 1 or None, got {size}")
        every = named.parameters(model)
        if free is not None:
            named.same_keys(every, free)
            free = {name: m.to(every[name].device) for name, m in free.items()}
        chosen = [name for name in every if free is None or bool(free[name].any())]
        if not chosen:
            raise BadInput("no weight is selected: the mask is False everywhere, or all weights are frozen")
        dtype = torch.float64 if every[chosen[0]].dtype == torch.float64 else torch.float32
        everything = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        full = {name: t.detach().to(dtype) if t.is_floating_point() else t for name, t in everything.items()}
        inside = {name: full[name] for name in chosen}
        fixed = {k: v for k, v in full.items() if k not in inside}
        objective = cls(model, examples, recipe, free, size, inside, fixed)
        with objective.open():
            return objective._checked()

    def on(self, examples: Source) -> Objective:
        """The same model, recipe and free weights with other examples; the door is checked again."""
        return Objective.of(self.model, examples, self.recipe, self.free, self.size)

    @property
    def device(self) -> torch.device:
        return next(iter(self.weights.values())).device

    @property
    def dtype(self) -> torch.dtype:
        return next(iter(self.weights.values())).dtype

    @property
    def width(self) -> int:
        """How many of the weights in it are free."""
        cuts = ((w, self.selected(name)) for name, w in self.weights.items())
        return sum(w.numel() if inside is None else int(inside.sum()) for w, inside in cuts)

    @contextmanager
    def open(self) -> Iterator[None]:
        """The state in which everything is computed: eval mode, gradients on, no autocast, plain kernels."""
        with (
            forward.eval_mode(self.model),
            torch.enable_grad(),
            torch.autocast(self.device.type, enabled=False),
            plain_kernels(self.model),
        ):
            yield

    def only(self, names: Sequence[str]) -> Objective:
        """The same in which only these weights vary."""
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

    def batches(self, size: int | None = None) -> Iterator[Batch]:
        """All examples in stored order, prepared, the last partial batch included.

        Args:
            size: None for the objective's own, or what fits a pass that needs no gradient per example.
        """
        for batch in self.examples.batches(size or self.size or self.fits(4 * self.saved, BATCH)):
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
        """A float64 total for each weight tensor."""
        return {name: torch.zeros_like(w, dtype=torch.float64) for name, w in self.weights.items()}

    def result(self, values: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> Named:
        """``values`` with the model's keys, in the precision of the weights, exactly 0 outside the free weights.

        Args:
            dtype: another precision.
        """
        out, dtype = {}, dtype or self.dtype
        for name, w in named.parameters(self.model).items():
            value = values[name].to(dtype) if name in values else torch.zeros_like(w, dtype=dtype)
            out[name] = value if self.free is None else value.masked_fill(~self.free[name], 0.0)
        return out

    def tangent(self, direction: Mapping[str, Tensor]) -> Named:
        """A direction as the weights take it: 0 where they are not free, and in their precision."""
        named.same_keys(named.parameters(self.model), direction)
        inside = masks.keep(direction, self.free)
        return {name: inside[name].to(w) for name, w in self.weights.items()}

    def selected(self, name: str) -> Tensor | None:
        """Which entries of a weight are free, None for all."""
        return None if self.free is None or bool(self.free[name].all()) else self.free[name]

    def vector(self, values: Mapping[str, Tensor]) -> Tensor:
        """The free entries as one vector, in key order."""
        cuts = {name: self.selected(name) for name in self.weights}
        return torch.cat([values[n].reshape(-1) if m is None else values[n][m] for n, m in cuts.items()])

    def spread(self, vector: Tensor) -> Named:
        """The inverse of :meth:`vector`, 0 elsewhere."""
        if self.free is None:
            return named.unflat(vector, self.weights)
        out = {n: torch.zeros_like(w, dtype=vector.dtype) for n, w in named.parameters(self.model).items()}
        where = {n: self.free[n] for n in self.weights}
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


def _first(x: Inputs) -> Inputs:
    return {k: v[:1] for k, v in x.items()} if isinstance(x, dict) else x[:1]


def _equal(a: Inputs, b: Inputs) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return all(torch.equal(a[k], b[k]) for k in a)
    assert isinstance(a, Tensor) and isinstance(b, Tensor)
    return torch.equal(a, b)
