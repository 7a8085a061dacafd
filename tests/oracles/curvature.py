"""Curvature the slow, obviously right way: one example at a time, and dense matrices of tiny nets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, hessian, jacrev
from torch.nn.attention import SDPBackend, sdpa_kernel

from lacunar.core import named
from lacunar.core.named import Named
from lacunar.data.examples import Examples
from lacunar.training import forward
from lacunar.training.recipe import Recipe


def gradients(model: nn.Module, examples: Examples, recipe: Recipe) -> list[Named]:
    """The gradient of each example's loss, by a batch of one each."""
    out = []
    for i in range(len(examples)):
        one = examples.take(torch.tensor([i]))
        loss = recipe.losses(forward.logits(model, _cast(recipe.prepare(one.x), model)), one.y).sum()
        out.append(named.gradient(loss, model))
    return out


def squared_sum(model: nn.Module, examples: Examples, recipe: Recipe) -> Named:
    """The sum of the squares of :func:`gradients`."""
    total = {name: torch.zeros_like(w, dtype=torch.float64) for name, w in named.weights(model).items()}
    for g in gradients(model, examples, recipe):
        total = {name: t + g[name].double() ** 2 for name, t in total.items()}
    return total


def graph_walk(model: nn.Module, examples: Examples, recipe: Recipe, batch_size: int) -> Named:
    """What public code does: one forward of a batch, whose graph is then walked once for each of its examples."""
    live = named.parameters(model)
    total = {name: torch.zeros_like(w) for name, w in live.items()}
    for batch in examples.batches(batch_size):
        losses = recipe.losses(forward.logits(model, _cast(recipe.prepare(batch.x), model)), batch.y)
        for loss in losses:
            for (name, t), g in zip(
                total.items(), torch.autograd.grad(loss, list(live.values()), retain_graph=True), strict=True
            ):
                t += g**2
    return total


def true_fisher(model: nn.Module, examples: Examples, recipe: Recipe) -> Named:
    """Every class in turn as the label, weighted by the model's probability of it, one example at a time."""
    total = {name: torch.zeros_like(w, dtype=torch.float64) for name, w in named.weights(model).items()}
    for i in range(len(examples)):
        one = examples.take(torch.tensor([i]))
        z = forward.logits(model, _cast(recipe.prepare(one.x), model))
        for c, p in enumerate(z.softmax(1)[0].tolist()):
            loss = recipe.losses(forward.logits(model, _cast(recipe.prepare(one.x), model)), torch.tensor([c]))
            g = named.gradient(loss.sum(), model)
            total = {name: t + p * g[name].double() ** 2 for name, t in total.items()}
    return total


def dense_hessian(model: nn.Module, examples: Examples, recipe: Recipe) -> Tensor:
    """The Hessian of the summed loss in all weights, ``[p, p]``, row by row.

    Not ``torch.func.hessian``: its forward-over-reverse mode is wrong for LayerNorm (checked by finite differences).
    """
    call, vector = _flat(model, examples, recipe)
    return torch.autograd.functional.hessian(lambda v: recipe.losses(call(v), examples.y).sum(), vector)


def dense_ggn(model: nn.Module, examples: Examples, recipe: Recipe) -> Tensor:
    """The Gauss-Newton matrix of the summed loss in all weights, ``[p, p]``: Jacobians around the loss's Hessian."""
    call, vector = _flat(model, examples, recipe)
    z = call(vector)
    jacobian = jacrev(call)(vector).reshape(z.numel(), -1)
    curve = hessian(lambda z: recipe.losses(z, examples.y).sum())(z).reshape(z.numel(), z.numel())
    return jacobian.T @ curve @ jacobian


def _flat(model: nn.Module, examples: Examples, recipe: Recipe):
    weights = named.weights(model)
    x = _cast(recipe.prepare(examples.x), model)

    def call(vector: Tensor) -> Tensor:
        values = named.unflat(vector, weights)
        with sdpa_kernel(SDPBackend.MATH):
            return forward.logits(lambda *a, **k: functional_call(model, values, a, k), x)

    return call, named.flat(weights)


def _cast(x, model: nn.Module):
    dtype = next(model.parameters()).dtype
    if isinstance(x, dict):
        return {k: v.to(dtype) if v.is_floating_point() else v for k, v in x.items()}
    return x.to(dtype) if x.is_floating_point() else x
