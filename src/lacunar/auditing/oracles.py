"""Oracles: models retrained as if the forgotten examples had never been there."""

from __future__ import annotations

from lacunar.core.masks import Mask
from lacunar.core.rng import seed_of
from lacunar.data.examples import Source
from lacunar.training.recipe import Recipe
from lacunar.training.trainer import Trained, Trainer
from lacunar.unlearning.problem import Problem


def oracle(
    trainer: Trainer,
    recipe: Recipe,
    edited: Source,
    seed: int,
    index: int,
    mask: Mask | None = None,
    title: str = "oracle",
) -> Trained:
    """The ``index``-th oracle of the original that had ``seed``: the same recipe and mask, a seed of its own.

    Args:
        edited: what should have been trained on: the retained examples and the corrected rows.
    """
    return trainer(recipe, edited, oracle_seed(seed, index), mask, title=title)


def train_oracles(problem: Problem, k: int, trainer: Trainer) -> list[Trained]:
    """The first ``k`` oracles of a problem."""
    named = [f"oracle {i + 1} of {k}" for i in range(k)]
    return [
        oracle(trainer, problem.recipe, problem.edited, problem.seed, i, problem.mask, title)
        for i, title in enumerate(named)
    ]


def oracle_seed(seed: int, index: int) -> int:
    """The seed of an oracle: never that of the original."""
    return seed_of(seed, "oracle", index)
