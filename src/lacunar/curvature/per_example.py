"""The gradient of each example: sums of squares, norms, rows, their Gram matrix, and products with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.func import grad, jvp

from lacunar.core.errors import BadInput
from lacunar.core.named import Named
from lacunar.curvature.finite import finite
from lacunar.curvature.linear_rows import LinearRows
from lacunar.curvature.objective import Objective, budget
from lacunar.curvature.per_example_passes import Cotangents, Factors, PulledBack, factored, pulled_back
from lacunar.curvature.stored_rows import outer


def squared_sum(objective: Objective) -> Named:
    r""":math:`\sum_n (\partial \ell_n / \partial \theta)^2`, entry by entry: the empirical Fisher diagonal, as a sum.

    It is not the square of the gradient of a batch, which differs by the cross terms.
    """
    with objective.open():
        return finite(objective, objective.result(squares(objective, of_loss(objective))))


def norms(objective: Objective) -> Tensor:
    r""":math:`\|\partial \ell_n / \partial \theta\|_2` of each example in stored order, ``[n]`` float64."""
    with objective.open():
        chunks = pulled_back(objective, of_loss(objective))
        return torch.cat([_squared_norms(objective, part) for part in chunks]).sqrt()


def rows(objective: Objective) -> Tensor:
    """The gradients of all examples as a matrix ``[n, free weights]``, columns in the order of ``named.flat``."""
    with objective.open():
        return matrix(objective, of_loss(objective))


def gram(objective: Objective) -> Tensor:
    r""":math:`G G^\top`, inner products of the gradients of all pairs of examples, ``[n, n]`` float64.

    Linear layers give theirs from their factors; the other columns of G are made block by block, so that G is never
    stored whole.
    """
    with objective.open():
        n = len(objective.examples)
        total = torch.zeros(n, n, dtype=torch.float64, device=objective.device)
        closed = [name for pair in factored(objective).values() for name in pair if name is not None]
        for layer in _linear_rows(objective.only(closed)) if closed else ():
            total += layer.gram()
        if len(closed) < len(objective.weights):
            for block in _column_blocks(objective.only([name for name in objective.weights if name not in closed])):
                total += outer(block, budget(objective.device))
        return total


def directional(objective: Objective, direction: Mapping[str, Tensor]) -> Tensor:
    r""":math:`G v`: the derivative of each example's loss along ``direction``, ``[n]``; one forward-mode pass."""
    v = objective.tangent(direction)
    out = []
    with objective.open():
        for batch in objective.batches():
            out.append(jvp(lambda w, b=batch: objective.losses(w, b), (objective.weights,), (v,))[1].detach())
    return torch.cat(out)


def weighted_sum(objective: Objective, coefficients: Tensor | None = None) -> Named:
    r""":math:`G^\top a = \sum_n a_n \nabla \ell_n` by one backward per batch; all coefficients are 1 by default.

    Raises:
        BadInput: another number of coefficients than of examples.
    """
    if coefficients is not None and coefficients.shape != (len(objective.examples),):
        given, n = tuple(coefficients.shape), len(objective.examples)
        raise BadInput(f"{given} coefficients for {n} examples: give one for each")
    leaves = {name: w.detach().requires_grad_() for name, w in objective.weights.items()}
    totals, start = objective.zeros(), 0
    with objective.open():
        for batch in objective.batches():
            losses = objective.losses(leaves, batch)
            if coefficients is not None:
                losses = losses * coefficients[start : start + len(batch)].to(losses)
            start += len(batch)
            grads = torch.autograd.grad(losses.sum(), list(leaves.values()), materialize_grads=True)
            for name, g in zip(leaves, grads, strict=True):
                totals[name] += g
    return objective.result(totals)


def of_loss(objective: Objective) -> Cotangents:
    """The gradient of the recipe's loss in the logits: pulled back, the gradient of each example."""

    def gradients(z: Tensor, y: Tensor, noise: Tensor) -> Tensor:
        slope: Tensor = grad(lambda logits: objective.recipe.losses(logits, y).sum())(z)
        return slope[:, None]

    return Cotangents(gradients)


def squares(objective: Objective, cotangents: Cotangents) -> Named:
    """The sum over examples and vectors of the squared entries; float64 where it has several parts.

    Call inside ``objective.open()``.
    """
    totals: Named = {}
    for part in pulled_back(objective, cotangents):
        for name, found in _squares_of(part):
            # A single part is left as it is: the cast of a large matrix costs as much as its gradient.
            totals[name] = found if name not in totals else totals[name].double().add_(found)
    return totals


def _squares_of(part: PulledBack) -> Iterator[tuple[str, Tensor]]:
    for name, g in part.full.items():
        yield name, g.square().sum((0, 1))
    for layer in part.factors:
        squared = layer.delta.square().sum(1)
        yield layer.weight, squared.T @ layer.a.square()
        if layer.bias is not None:
            yield layer.bias, squared.sum(0)


def matrix(objective: Objective, cotangents: Cotangents) -> Tensor:
    """All pulled-back vectors as rows, ``[n * count, free weights]``; call inside ``objective.open()``.

    One vector per example keeps the stored order; several may come in any order.
    """
    count, start = len(objective.examples) * cotangents.count, 0
    out = torch.empty(count, objective.width, dtype=objective.dtype, device=objective.device)
    for part in pulled_back(objective, cotangents):
        piece = columns(objective, part).flatten(0, 1)
        out[start : start + len(piece)] = piece
        start += len(piece)
    return out


def _squared_norms(objective: Objective, part: PulledBack) -> Tensor:
    total: Tensor | None = None
    for name, g in part.full.items():
        inside = objective.selected(name)
        one = (g if inside is None else g * inside).square().flatten(1).sum(1).double()
        total = one if total is None else total + one
    for layer in part.factors:
        one = _squared_norm_of(objective, layer).double()
        total = one if total is None else total + one
    assert total is not None
    return total


def _squared_norm_of(objective: Objective, layer: Factors) -> Tensor:
    delta, a = layer.delta.square().sum(1), layer.a.square()
    inside = objective.selected(layer.weight)
    weight = delta.sum(1) * a.sum(1) if inside is None else ((delta @ inside.to(delta)) * a).sum(1)
    if layer.bias is None:
        return weight
    free = objective.selected(layer.bias)
    return weight + (delta if free is None else delta * free).sum(1)


def columns(objective: Objective, part: PulledBack) -> Tensor:
    """The gradients of a part as rows, ``[n, k, free weights]``."""
    pieces = {name: g.flatten(2) for name, g in part.full.items()}
    for layer in part.factors:
        pieces[layer.weight] = torch.einsum("nko,ni->nkoi", layer.delta, layer.a).flatten(2)
        if layer.bias is not None:
            pieces[layer.bias] = layer.delta
    cuts = {name: objective.selected(name) for name in objective.weights}
    return torch.cat([pieces[n] if m is None else pieces[n][..., m.reshape(-1)] for n, m in cuts.items()], 2)


def _linear_rows(objective: Objective) -> list[LinearRows]:
    chunks = [part.factors for part in pulled_back(objective, of_loss(objective))]
    return [LinearRows.of(objective, same) for same in zip(*chunks, strict=True)]


def _column_blocks(objective: Objective) -> Iterator[Tensor]:
    # A block is a range of selected columns that fits the budget for all examples at once; one pass makes one block.
    counts = {
        name: w.numel() if (m := objective.selected(name)) is None else int(m.sum())
        for name, w in objective.weights.items()
    }
    wide = objective.fits(len(objective.examples) * objective.dtype.itemsize, sum(counts.values()))
    ends = torch.tensor(list(counts.values())).cumsum(0).tolist()
    for low in range(0, ends[-1], wide):
        high = min(low + wide, ends[-1])
        touched = [n for n, end in zip(counts, ends, strict=True) if end > low and end - counts[n] < high]
        before = ends[list(counts).index(touched[0])] - counts[touched[0]]
        inner = objective.only(touched)
        cut = slice(low - before, high - before)
        yield torch.cat([columns(inner, part)[:, 0, cut] for part in pulled_back(inner, of_loss(objective))])
