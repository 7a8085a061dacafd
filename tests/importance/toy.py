"""A float64 net with four examples that stay and three that go, and the gradients of those three one by one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from lacunar.core import named
from lacunar.core.named import Named
from lacunar.core.rng import generator_of
from lacunar.curvature.objective import Objective
from lacunar.data.examples import Examples
from lacunar.sparsity.score import Score
from lacunar.training.recipe import Recipe
from tests.curvature.nets import net
from tests.oracles import curvature as oracle


@dataclass(frozen=True)
class World:
    """What a score is made of."""

    model: nn.Module
    kept: Examples
    gone: Examples
    recipe: Recipe

    def scores(self, score: Score, seed: int = 5, notes: list[str] | None = None, **more: Examples) -> Named:
        given = {"forget": self.gone, **more}
        return score.scores(self.model, self.kept, self.recipe, stream(seed), notes=notes, **given)

    def objective(self) -> Objective:
        return Objective.of(self.model, self.kept, self.recipe)

    def forget_gradient(self) -> Named:
        """The sum of the gradients of single forgotten examples."""
        loop = oracle.gradients(self.model, self.gone, self.recipe)
        return {name: sum(g[name] for g in loop) for name in loop[0]}


def world(kind: str = "mlp") -> World:
    model, examples, recipe = net(kind)
    return World(model, examples.take(torch.arange(4)), examples.take(torch.arange(4, 7)), recipe)


def stream(seed: int) -> torch.Generator:
    """What draws the seed of a score."""
    return generator_of(seed, "rank")


def assert_same(a: Named, b: Named, tolerance: float = 1e-10) -> None:
    assert named.norm(named.add(a, b, -1.0)) <= tolerance * named.norm(b)
    assert a.keys() == b.keys()
