"""One pass over the examples that yields the gradient of each of them, chunk by chunk."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import vjp, vmap

from lacunar.core.named import Named
from lacunar.curvature.objective import FEW, Objective
from lacunar.data.batches import Inputs, rows

HOST_CHUNK, CHUNK = 32, 512

Layers: TypeAlias = dict[str, tuple[str, str | None]]


@dataclass(frozen=True)
class Cotangents:
    r"""Which ``count`` vectors of each example are pulled back to its weights: :math:`J_n^\top c_{nk}`.

    Attributes:
        of: ``(z, y, noise) -> [n, count, *output]``.
        noise: what is drawn for each example, from its ids: ``[n, ...]``.
    """

    of: Callable[[Tensor, Tensor, Tensor], Tensor]
    count: int = 1
    noise: Callable[[Tensor], Tensor] = lambda ids: torch.zeros(len(ids), 0, device=ids.device)


@dataclass(frozen=True)
class Factors:
    """The gradients of a Linear layer with one position per example: ``delta[n, k, out] * a[n, 1, in]``.

    Attributes:
        weight, bias: names; None for a bias that does not vary.
    """

    weight: str
    bias: str | None
    delta: Tensor
    a: Tensor


@dataclass(frozen=True)
class PulledBack:
    """Gradients ``[n, k, *shape]`` of some consecutive examples: in full, or as factors where a layer allows it."""

    full: Named
    factors: tuple[Factors, ...]


def pulled_back(objective: Objective, cotangents: Cotangents) -> Iterator[PulledBack]:
    """The pulled-back vectors of all examples, in stored order; call inside ``objective.open()``.

    Linear layers with one position per example give factors, from an ordinary backward pass where all layers do;
    everything else goes through ``vmap`` of the backward pass, in chunks that fit the memory budget. Where an operation
    has no batched form the pass goes on one example at a time, and a warning names the module. Vectors that do not fit
    together are split over several passes.
    """
    layers = factored(objective)
    closed = {name for pair in layers.values() for name in pair}
    inner = objective.only([name for name in objective.weights if name not in closed])
    held = objective.saved + sum(w.numel() * w.element_size() for w in inner.weights.values())
    columns = objective.fits(held, cotangents.count)
    most = HOST_CHUNK if inner.weights and objective.device.type == "cpu" else CHUNK
    chunk = objective.size or objective.fits(columns * held + objective.saved, most)
    for first in range(0, cotangents.count, columns):
        job = _Pass(inner, cotangents, slice(first, first + columns), layers)
        with _hooks(objective.model, {name: job.tap(name) for name in layers}):
            for batch in objective.batches(chunk):
                yield from job.run(batch.x, batch.y, cotangents.noise(batch.ids))


def factored(objective: Objective) -> Layers:
    """The Linear layers whose gradient is an outer product for each example, with the names of their weights.

    A layer qualifies when it is called once on ``[n, in]`` and when, on a few examples, its gradient is what the two
    factors give: this also finds weights that are tied or used elsewhere.
    """
    found: Layers = {}
    for name, module in objective.model.named_modules():
        if isinstance(module, nn.Linear) and f"{name}.weight".lstrip(".") in objective.weights:
            bias = f"{name}.bias".lstrip(".")
            found[name] = (f"{name}.weight".lstrip("."), bias if bias in objective.weights else None)
    if not found:
        return found
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in found}

    def watch(name: str) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def hook(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            seen[name].append((args[0], output))
            return output.clone()  # what comes next may overwrite it

        return hook

    few = next(objective.batches(min(FEW, len(objective.examples))))
    leaves = {name: objective.weights[pair[0]].detach().requires_grad_() for name, pair in found.items()}
    with _hooks(objective.model, {name: watch(name) for name in found}):
        z = objective.logits({**objective.weights, **{found[name][0]: w for name, w in leaves.items()}}, few.x)
    once = [name for name, calls in seen.items() if len(calls) == 1 and _one_position(*calls[0], len(few))]
    if not once:
        return {}
    outputs = [seen[name][0][1] for name in once]
    direction = torch.linspace(1, 2, z.numel(), dtype=z.dtype, device=z.device).reshape(z.shape)
    grads = torch.autograd.grad(z, [leaves[name] for name in once] + outputs, direction, materialize_grads=True)
    formed = [delta.T @ seen[name][0][0].detach() for name, delta in zip(once, grads[len(once) :], strict=True)]
    same = [_close(product, grad) for product, grad in zip(formed, grads, strict=False)]
    return {name: found[name] for name, good in zip(once, same, strict=True) if good}


@dataclass
class _Pass:
    objective: Objective
    cotangents: Cotangents
    columns: slice
    layers: Layers
    slow: bool = False
    inputs: Named = field(default_factory=dict)
    taps: Mapping[str, Tensor] = field(default_factory=dict)

    def tap(self, name: str) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        """A hook that keeps a layer's input, and adds to its output a zero whose gradient is the layer's delta."""

        def hook(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            self.inputs[name] = args[0]
            return output + self.taps[name]

        return hook

    def run(self, x: Inputs, y: Tensor, noise: Tensor) -> Iterator[PulledBack]:
        done = self._tried(x, y, noise)
        if done is not None:
            yield done
            return
        for half in torch.arange(len(y), device=y.device).tensor_split(2):
            yield from self.run(rows(x, half), y[half], noise[half])

    def _tried(self, x: Inputs, y: Tensor, noise: Tensor) -> PulledBack | None:
        # None stands for "does not fit": the caller halves the chunk.
        closed = not self.objective.weights
        way = self._at_once if closed else self._one_by_one if self.slow else self._batched
        try:
            return way(x, y, noise)
        except RuntimeError as error:
            if _no_room(error) and len(y) > 1:
                return None
            if _no_room(error) or self.slow or closed:
                raise
            self._slow_down(error, x, y, noise)
        return self._one_by_one(x, y, noise)

    def _zeros(self, n: int = 1) -> Named:
        weights = {name: self.objective.fixed[pair[0]] for name, pair in self.layers.items()}
        return {name: w.new_zeros(n, len(w)) for name, w in weights.items()}

    def _forward(self, weights: Named, taps: Named, x: Inputs) -> tuple[Tensor, Named]:
        self.taps = taps
        z = self.objective.logits(weights, x)
        return z, {name: self.inputs[name] for name in self.layers}

    def _chosen(self, z: Tensor, y: Tensor, noise: Tensor) -> Tensor:
        return self.cotangents.of(z, y[None], noise[None])[0, self.columns, None]

    def _at_once(self, x: Inputs, y: Tensor, noise: Tensor) -> PulledBack:
        # Every gradient is a pair of factors, and those of a batch are the rows of one ordinary backward pass.
        taps = {name: t.requires_grad_() for name, t in self._zeros(len(y)).items()}
        z, inputs = self._forward({}, taps, x)
        chosen = self.cotangents.of(z.detach(), y, noise)[:, self.columns].unbind(1)
        pulled = [torch.autograd.grad(z, list(taps.values()), c, retain_graph=c is not chosen[-1]) for c in chosen]
        deltas = dict(zip(taps, (torch.stack(column, 1) for column in zip(*pulled, strict=True)), strict=True))
        return self._factors({}, deltas, {name: a.detach() for name, a in inputs.items()})

    def _batched(self, x: Inputs, y: Tensor, noise: Tensor) -> PulledBack:
        def one(weights: Named, taps: Named, x: Inputs, y: Tensor, noise: Tensor) -> tuple[Named, Named, Named]:
            linear: Any = vjp(lambda w, t: self._forward(w, t, _alone(x)), weights, taps, has_aux=True)
            z, pull, inputs = linear
            chosen = self._chosen(z, y, noise)
            if len(chosen) > 1:
                return (*vmap(pull)(chosen), inputs)
            grads, deltas = ({name: g[None] for name, g in group.items()} for group in pull(chosen[0]))
            return grads, deltas, inputs

        over = vmap(one, in_dims=(None, None, 0, 0, 0))
        return self._parts(*over(self.objective.weights, self._zeros(), x, y, noise))

    def _one_by_one(self, x: Inputs, y: Tensor, noise: Tensor) -> PulledBack:
        rows_of = [rows(x, torch.tensor(i, device=y.device)) for i in range(len(y))]
        done = [self._alone(one, y[i], noise[i]) for i, one in enumerate(rows_of)]
        return self._parts(*({name: torch.stack([d[g][name] for d in done]) for name in done[0][g]} for g in range(3)))

    def _alone(self, x: Inputs, y: Tensor, noise: Tensor) -> tuple[Named, Named, Named]:
        weights = {name: w.detach().requires_grad_() for name, w in self.objective.weights.items()}
        taps = {name: t.requires_grad_() for name, t in self._zeros().items()}
        z, inputs = self._forward(weights, taps, _alone(x))
        leaves = [*weights.values(), *taps.values()]
        chosen = self._chosen(z.detach(), y, noise)
        pulled = [torch.autograd.grad(z, leaves, c, retain_graph=True, materialize_grads=True) for c in chosen]
        columns = [torch.stack(of_leaf) for of_leaf in zip(*pulled, strict=True)]
        grads = dict(zip(weights, columns[: len(weights)], strict=True))
        deltas = dict(zip(taps, columns[len(weights) :], strict=True))
        return grads, deltas, {name: a.detach() for name, a in inputs.items()}

    def _parts(self, grads: Named, deltas: Named, inputs: Named) -> PulledBack:
        return self._factors(grads, {n: d[:, :, 0] for n, d in deltas.items()}, {n: a[:, 0] for n, a in inputs.items()})

    def _factors(self, grads: Named, deltas: Named, inputs: Named) -> PulledBack:
        return PulledBack(grads, tuple(Factors(*self.layers[n], deltas[n], inputs[n]) for n in self.layers))

    def _slow_down(self, error: RuntimeError, x: Inputs, y: Tensor, noise: Tensor) -> None:
        trail: list[str] = []
        names = {module: name for name, module in self.objective.model.named_modules()}

        def enter(module: nn.Module, args: Any) -> None:
            trail.append(f"{type(module).__name__} {names[module]!r}")

        def leave(module: nn.Module, args: Any, output: Any) -> None:
            trail.pop()

        hooks = [module.register_forward_pre_hook(enter) for module in names]
        hooks += [module.register_forward_hook(leave) for module in names]
        try:
            self._batched(x, y, noise)
        except RuntimeError:
            self.slow = True
        finally:
            for hook in hooks:
                hook.remove()
        where = trail[-1] if trail else "the backward pass"
        reason = str(error).splitlines()[0]
        warnings.warn(
            f"{where} has no batched form ({reason}), so gradients are taken one example at a time, which is slower",
            stacklevel=2,
        )


def _alone(x: Inputs) -> Inputs:
    return {k: v[None] for k, v in x.items()} if isinstance(x, dict) else x[None]


@contextmanager
def _hooks(model: nn.Module, by_name: Mapping[str, Callable[[nn.Module, Any, Tensor], Any]]) -> Iterator[None]:
    handles = [model.get_submodule(name).register_forward_hook(hook) for name, hook in by_name.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _one_position(a: Tensor, output: Tensor, n: int) -> bool:
    return a.ndim == 2 and len(a) == n and output.requires_grad


def _no_room(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _close(a: Tensor, b: Tensor) -> bool:
    # ``a`` is overwritten: another matrix of this size would take longer than the comparison.
    return bool(a.sub_(b).norm() <= 1e-4 * b.norm())
