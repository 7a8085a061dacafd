"""Starting again: fresh weights wherever the problem lets weights move."""

from __future__ import annotations

from torch import nn

from lacunar.core import masks, named
from lacunar.core.rng import seed_of
from lacunar.unlearning.problem import Problem


def fresh_like(model: nn.Module, problem: Problem, name: str) -> nn.Module:
    """A fresh model of the recipe, drawn from the stream ``name``, with frozen and held weights as in ``model``."""
    fresh = problem.recipe.fresh(seed_of(problem.seed, name)).to(problem.device)
    given = dict(model.named_parameters())
    frozen = {n: p.detach() for n, p in given.items() if not p.requires_grad}
    named.write(fresh, frozen)
    for n, p in fresh.named_parameters():
        p.requires_grad_(given[n].requires_grad)
    start = masks.keep(named.weights(fresh), problem.mask)
    if problem.where is not None:
        start = masks.choose(problem.where, start, named.weights(model))
    named.write(fresh, start)
    return fresh
