"""The gradient of each example: sums of squares, norms, rows, their Gram matrix, and products with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import grad, jvp

from lacunar.core.errors import BadInput
from lacunar.core.named import Mask, Named
from lacunar.curvature.passes import Cotangents, Factors, Parts, factored, parts
from lacunar.curvature.view import View, budget
from lacunar.data.examples import Source
from lacunar.training.recipe import Recipe

BATCH = 128
STORED_SHARE = 4
"""Rows are kept in memory when they take at most this many times the budget of one step."""


def squared_sum(
    model: nn.Module, examples: Source, recipe: Recipe, mask: Mask | None = None, size: int | None = None
) -> Named:
    r""":math:`\sum_n (\partial \ell_n / \partial \theta)^2`, entry by entry: the empirical Fisher diagonal, as a sum.

    It is not the square of the gradient of a batch, which differs by the cross terms.

    Args:
        size: examples at a time, None for what fits; it changes nothing but memory.
    """
    view = View.of(model, examples, recipe, mask)
    with view.open():
        return view.result(squares(view, of_loss(view), size))


def norms(
    model: nn.Module, examples: Source, recipe: Recipe, mask: Mask | None = None, size: int | None = None
) -> Tensor:
    r""":math:`\|\partial \ell_n / \partial \theta\|_2` of each example in stored order, ``[n]`` float64."""
    view = View.of(model, examples, recipe, mask)
    with view.open():
        return torch.cat([_squared_norms(view, part) for part in parts(view, of_loss(view), size)]).sqrt()


def rows(
    model: nn.Module, examples: Source, recipe: Recipe, mask: Mask | None = None, size: int | None = None
) -> Tensor:
    """The gradients of all examples as a matrix ``[n, selected weights]``, columns in the order of ``named.flat``."""
    view = View.of(model, examples, recipe, mask)
    with view.open():
        return matrix(view, of_loss(view), size)


def gram(
    model: nn.Module, examples: Source, recipe: Recipe, mask: Mask | None = None, size: int | None = None
) -> Tensor:
    r""":math:`G G^\top`, inner products of the gradients of all pairs of examples, ``[n, n]`` float64.

    Linear layers give theirs from their factors; the other columns of G are made block by block, so that G is never
    stored whole.
    """
    view = View.of(model, examples, recipe, mask)
    with view.open():
        return _gram(view, size)


def directional(
    model: nn.Module,
    examples: Source,
    recipe: Recipe,
    direction: Mapping[str, Tensor],
    mask: Mask | None = None,
    size: int | None = None,
) -> Tensor:
    r""":math:`G v`: the derivative of each example's loss along ``direction``, ``[n]``; one forward-mode pass."""
    view = View.of(model, examples, recipe, mask)
    with view.open():
        return _directional(view, direction, size or batch_of(view))


def weighted_sum(
    model: nn.Module,
    examples: Source,
    recipe: Recipe,
    coefficients: Tensor | None = None,
    mask: Mask | None = None,
    size: int | None = None,
) -> Named:
    r""":math:`G^\top a = \sum_n a_n \nabla \ell_n` by one backward per batch; all coefficients are 1 by default."""
    view = View.of(model, examples, recipe, mask)
    with view.open():
        return _weighted_sum(view, coefficients, size or batch_of(view))


@dataclass(frozen=True, eq=False)
class GradientRows:
    """The matrix of per-example gradients as an operator: stored when it fits, recomputed for each product otherwise.

    Attributes:
        keep: bytes that may be used to store it; None for four times the budget of one step.
    """

    model: nn.Module
    examples: Source
    recipe: Recipe
    mask: Mask | None = None
    keep: int | None = None
    _view: View = field(init=False, repr=False)
    _stored: Tensor | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        view = View.of(self.model, self.examples, self.recipe, self.mask)
        width = len(view.vector(view.weights))
        room = STORED_SHARE * budget(view.device) if self.keep is None else self.keep
        object.__setattr__(self, "_view", view)
        fits = len(self.examples) * width * view.weights[next(iter(view.weights))].element_size() <= room
        with view.open():
            object.__setattr__(self, "_stored", matrix(view, of_loss(view)) if fits else None)

    def __len__(self) -> int:
        return len(self.examples)

    def gram(self) -> Tensor:
        r""":math:`G G^\top`, ``[n, n]`` float64."""
        if self._stored is not None:
            return outer(self._stored, budget(self._view.device))
        with self._view.open():
            return _gram(self._view, None)

    def times(self, v: Mapping[str, Tensor]) -> Tensor:
        """``G v``, ``[n]`` float64."""
        if self._stored is not None:
            return (self._stored @ self._view.vector(v).to(self._stored)).double()
        with self._view.open():
            return _directional(self._view, v, batch_of(self._view)).double()

    def back(self, a: Tensor) -> Named:
        r""":math:`G^\top a`."""
        if self._stored is not None:
            return self._view.result(self._view.spread(a.to(self._stored) @ self._stored))
        with self._view.open():
            return _weighted_sum(self._view, a, batch_of(self._view))


def of_loss(view: View) -> Cotangents:
    """The gradient of the recipe's loss in the logits: pulled back, the gradient of each example."""

    def gradients(z: Tensor, y: Tensor, noise: Tensor) -> Tensor:
        slope: Tensor = grad(lambda logits: view.recipe.losses(logits, y).sum())(z)
        return slope[:, None]

    return Cotangents(gradients)


def squares(view: View, cotangents: Cotangents, size: int | None = None) -> Named:
    """The sum over examples and vectors of the squared entries; float64 where it has several parts.

    For views that are open.
    """
    totals: Named = {}
    for part in parts(view, cotangents, size):
        for name, found in _squares_of(part):
            # A single part is left as it is: the cast of a large matrix costs as much as its gradient.
            totals[name] = found if name not in totals else totals[name].double().add_(found)
    return totals


def _squares_of(part: Parts) -> Iterator[tuple[str, Tensor]]:
    for name, g in part.full.items():
        yield name, g.square().sum((0, 1))
    for layer in part.factors:
        squared = layer.delta.square().sum(1)
        yield layer.weight, squared.T @ layer.a.square()
        if layer.bias is not None:
            yield layer.bias, squared.sum(0)


def matrix(view: View, cotangents: Cotangents, size: int | None = None) -> Tensor:
    """All pulled-back vectors as rows, ``[n * count, selected weights]``; for views that are open.

    One vector per example keeps the stored order; several may come in any order.
    """
    width = len(view.vector(view.weights))
    out = torch.empty(len(view.examples) * cotangents.count, width, dtype=view.dtype, device=view.device)
    start = 0
    for part in parts(view, cotangents, size):
        piece = columns(view, part).flatten(0, 1)
        out[start : start + len(piece)] = piece
        start += len(piece)
    return out


def batch_of(view: View) -> int:
    """Examples per batch of a pass that needs no gradient per example."""
    return view.fits(4 * view.saved, BATCH)


def _squared_norms(view: View, part: Parts) -> Tensor:
    total: Tensor | None = None
    for name, g in part.full.items():
        inside = view.selected(name)
        one = (g if inside is None else g * inside).square().flatten(1).sum(1).double()
        total = one if total is None else total + one
    for layer in part.factors:
        one = _squared_norm_of(view, layer).double()
        total = one if total is None else total + one
    assert total is not None
    return total


def _squared_norm_of(view: View, layer: Factors) -> Tensor:
    delta, a = layer.delta.square().sum(1), layer.a.square()
    inside = view.selected(layer.weight)
    weight = delta.sum(1) * a.sum(1) if inside is None else ((delta @ inside.to(delta)) * a).sum(1)
    if layer.bias is None:
        return weight
    free = view.selected(layer.bias)
    return weight + (delta if free is None else delta * free).sum(1)


def columns(view: View, part: Parts) -> Tensor:
    """The gradients of a part as rows, ``[n, k, selected weights]``."""
    pieces = {name: g.flatten(2) for name, g in part.full.items()}
    for layer in part.factors:
        pieces[layer.weight] = torch.einsum("nko,ni->nkoi", layer.delta, layer.a).flatten(2)
        if layer.bias is not None:
            pieces[layer.bias] = layer.delta
    cuts = {name: view.selected(name) for name in view.weights}
    return torch.cat([pieces[n] if m is None else pieces[n][..., m.reshape(-1)] for n, m in cuts.items()], 2)


def _gram(view: View, size: int | None) -> Tensor:
    n = len(view.examples)
    total = torch.zeros(n, n, dtype=torch.float64, device=view.device)
    whole = [pair for pair in factored(view).values() if all(p is None or view.selected(p) is None for p in pair)]
    closed = [name for pair in whole for name in pair if name is not None]
    if closed:
        for layer in _factors_of_all(view.only(closed), size):
            of_bias = layer.delta[:, 0].double() @ layer.delta[:, 0].double().T
            total += of_bias * (layer.a.double() @ layer.a.double().T)
            if layer.bias is not None:
                total += of_bias
    if len(closed) < len(view.weights):
        rest = view.only([name for name in view.weights if name not in closed])
        for block in _column_blocks(rest, size):
            total += outer(block, budget(view.device))
    return total


def _factors_of_all(view: View, size: int | None) -> list[Factors]:
    chunks = [part.factors for part in parts(view, of_loss(view), size)]
    return [
        Factors(same[0].weight, same[0].bias, torch.cat([f.delta for f in same]), torch.cat([f.a for f in same]))
        for same in zip(*chunks, strict=True)
    ]


def _column_blocks(view: View, size: int | None) -> Iterator[Tensor]:
    # A block is a range of selected columns that fits the budget for all examples at once; one pass makes one block.
    counts = {
        name: w.numel() if (m := view.selected(name)) is None else int(m.sum()) for name, w in view.weights.items()
    }
    wide = view.fits(len(view.examples) * view.dtype.itemsize, sum(counts.values()))
    ends = torch.tensor(list(counts.values())).cumsum(0).tolist()
    for low in range(0, ends[-1], wide):
        high = min(low + wide, ends[-1])
        touched = [n for n, end in zip(counts, ends, strict=True) if end > low and end - counts[n] < high]
        before = ends[list(counts).index(touched[0])] - counts[touched[0]]
        inner = view.only(touched)
        cut = slice(low - before, high - before)
        yield torch.cat([columns(inner, part)[:, 0, cut] for part in parts(inner, of_loss(view), size)])


def outer(g: Tensor, room: int) -> Tensor:
    r""":math:`G G^\top` in float64, a few columns at a time: the cast copy must fit ``room`` bytes as well."""
    step = max(1, room // (8 * len(g)))
    total = torch.zeros(len(g), len(g), dtype=torch.float64, device=g.device)
    for piece in torch.split(g, step, 1):
        total.addmm_(piece.double(), piece.double().T)
    return total


def _directional(view: View, direction: Mapping[str, Tensor], size: int) -> Tensor:
    v = view.tangent(direction)
    out = []
    for batch in view.batches(size):
        out.append(jvp(lambda w, b=batch: view.losses(w, b), (view.weights,), (v,))[1].detach())
    return torch.cat(out)


def _weighted_sum(view: View, coefficients: Tensor | None, size: int) -> Named:
    if coefficients is not None and coefficients.shape != (len(view.examples),):
        raise BadInput(f"{tuple(coefficients.shape)} coefficients for {len(view.examples)} examples: give one for each")
    leaves = {name: w.detach().requires_grad_() for name, w in view.weights.items()}
    totals, start = view.zeros(), 0
    for batch in view.batches(size):
        losses = view.losses(leaves, batch)
        if coefficients is not None:
            losses = losses * coefficients[start : start + len(batch)].to(losses)
        start += len(batch)
        grads = torch.autograd.grad(losses.sum(), list(leaves.values()), materialize_grads=True)
        for name, g in zip(leaves, grads, strict=True):
            totals[name] += g
    return view.result(totals)
