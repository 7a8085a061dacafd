"""Small problems with corrected rows."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from lacunar.core.named import Named
from lacunar.curvature.edit_gradient import edit_gradient
from lacunar.curvature.ggn import GaussNewton
from lacunar.curvature.newton import NewtonSystem
from lacunar.curvature.objective import Objective
from lacunar.curvature.solvers.cg import Cg
from lacunar.data import corrections
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


@cache
def world() -> tuple[Examples, Examples, Recipe, nn.Module]:
    """Sixty rows of three classes, twelve of them mislabelled in ``seen``, and a net trained on those."""
    g = torch.Generator().manual_seed(1)
    y = torch.arange(60) % 3
    x = torch.randn(60, 6, generator=g) + 2 * nn.functional.one_hot(y, 6)
    clean = Examples.of(x, y, ids=torch.arange(60) * 2 + 1)
    seen = corrections.relabel(
        clean, {int(i): int((label + 1) % 3) for i, label in zip(clean.ids[:12], y[:12], strict=True)}
    )
    recipe = Recipe(net, epochs=30, lr=0.1, batch_size=10, weight_decay=1e-3, precision="float32")
    return clean, seen, recipe, recipe.fit(seen, 0)


def relabelled(**more) -> Problem:
    clean, seen, recipe, model = world()
    return Problem.of(model, seen, recipe=recipe, corrected=clean, device="cpu", **more)


def gradient(problem: Problem) -> Named:
    """The gradient of the problem's edit."""
    return edit_gradient(Objective.of(problem.model, problem.forget, problem.recipe), problem.corrected)


def newton_step(problem: Problem, damping: float) -> Named:
    """What one Newton step subtracts."""
    matrix = GaussNewton(Objective.of(problem.model, problem.edited, problem.recipe))
    return NewtonSystem(matrix).solved(gradient(problem), damping, Cg()).x


def mean_loss(model: nn.Module, problem: Problem) -> float:
    """The penalised mean loss on the edited data."""
    z = problem.recipe.predict(model, problem.edited)
    size = sum(float(p.detach().pow(2).sum()) for p in model.parameters())
    loss = float(problem.recipe.losses(z, problem.edited.y).mean())
    return loss + problem.recipe.weight_decay / 2 * size


def wrongly(model: nn.Module, problem: Problem) -> float:
    """The share of mislabelled rows that are still predicted with the wrong label."""
    return float((problem.recipe.predict(model, problem.forget).argmax(1) == problem.forget.y).double().mean())
