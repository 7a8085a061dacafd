"""The case table: toy problems that every plug-in must handle, and a small world that is worth auditing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lacunar.core import named
from lacunar.core.masks import Mask
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem


@dataclass(frozen=True)
class World:
    """A trained model with everything around it.

    Attributes:
        train, test: disjoint examples; test ids go on where training ids end.
        flipped: training ids whose labels are wrong (memorized: what forgetting them does is easy to see).
        recipe, model: how it was trained, and the result for seed 0.
    """

    train: Examples
    test: Examples
    flipped: Tensor
    recipe: Recipe
    model: nn.Module

    def problem(self, forget: Tensor, seed: int = 0, **more: Any) -> Problem:
        return Problem.of(self.model, self.train, forget, self.recipe, seed, device="cpu", **more)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def digits_world(n: int = 600, flips: int = 48) -> World:
    """Digits with wrong labels, an MLP that fits them all."""
    x, y = load_digits(return_X_y=True)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    inputs, labels = torch.tensor(x / 16, dtype=torch.float32)[order], torch.tensor(y)[order]
    train = Examples.of(inputs[:n], labels[:n].clone())
    train.y[:flips] = (train.y[:flips] + 1 + torch.arange(flips) % 9) % 10
    test = Examples.of(inputs[n:], labels[n:], ids=torch.arange(n, len(inputs)))
    recipe = Recipe(mlp, epochs=60, lr=0.1, batch_size=16, weight_decay=0.0, precision="float32")
    return World(train, test, torch.arange(flips), recipe, recipe.fit(train, 0))


class BatchNormNet(nn.Module):
    """A residual conv net with BatchNorm and dropout for 1x8x8 images."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(6)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.first(x)))
        x = torch.relu(x + self.bn2(self.second(x)))
        return self.head(self.drop(x.mean((2, 3))))


class DictNet(nn.Module):
    """A bag-of-embeddings classifier that takes keywords and returns an object with ``.logits``."""

    @dataclass
    class Output:
        logits: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> DictNet.Output:
        weight = attention_mask[..., None].float()
        return DictNet.Output(self.head((self.embed(input_ids) * weight).sum(1) / weight.sum(1).clamp(min=1)))


def _vectors(n: int = 45) -> tuple[Callable[[], nn.Module], Examples]:
    g = torch.Generator().manual_seed(1)
    y = torch.arange(n) % 3
    x = torch.randn(n, 6, generator=g) + 2 * torch.nn.functional.one_hot(y, 6)
    return (lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))), Examples.of(x, y)


def _images(n: int = 37) -> tuple[Callable[[], nn.Module], Examples]:
    g = torch.Generator().manual_seed(2)
    x = torch.randint(0, 256, (n, 1, 8, 8), generator=g, dtype=torch.uint8)
    return BatchNormNet, Examples.of(x, torch.arange(n) % 4, ids=torch.arange(n) + 1000)


def _dicts(n: int = 30) -> tuple[Callable[[], nn.Module], Examples]:
    g = torch.Generator().manual_seed(3)
    ids = torch.randint(0, 20, (n, 5), generator=g)
    return DictNet, Examples.of({"input_ids": ids, "attention_mask": (ids > 2).long()}, torch.arange(n) % 3)


_CASES: dict[str, Callable[[], tuple[Callable[[], nn.Module], Examples]]] = {
    "vectors": _vectors,
    "images": _images,
    "dicts": _dicts,
}


def half_mask(model: nn.Module) -> Mask:
    """About half of the weights of every matrix, all of every vector."""
    g = torch.Generator().manual_seed(4)
    return {
        name: torch.rand(w.shape, generator=g) < 0.5 if w.ndim > 1 else torch.ones_like(w, dtype=torch.bool)
        for name, w in named.weights(model).items()
    }


@cache
def _trained(case: str, masked: bool) -> tuple[Recipe, nn.Module, Examples, Mask | None]:
    build, examples = _CASES[case]()
    augment = "crop_flip" if case == "images" else "none"
    recipe = Recipe(build, epochs=2, lr=0.05, batch_size=8, augment=augment)
    mask = half_mask(recipe.fresh(0)) if masked else None
    return recipe, recipe.fit(examples, 0, mask=mask), examples, mask


CASES = [(case, masked) for case in _CASES for masked in (False, True)]
CASE_IDS = [f"{case}-{'masked' if masked else 'dense'}" for case, masked in CASES]


def all_corrected(case: str, seed: int = 0) -> Problem:
    """A toy problem whose every training label is another one: no row is retained as it was."""
    recipe, model, examples, _ = _trained(case, False)
    corrected = examples.labelled((examples.y + 1) % 3)
    return Problem.of(model, examples, None, recipe, seed, device="cpu", corrected=corrected)


def problem(case: str, masked: bool = False, seed: int = 0, **more: Any) -> Problem:
    """A toy problem: a trained net, nine ids to forget (one more than a batch)."""
    recipe, model, examples, mask = _trained(case, masked)
    return Problem.of(model, examples, examples.ids[3:12], recipe, seed, device="cpu", mask=mask, **more)


def parted(model: nn.Module, retain: Examples, forget: Examples, recipe: Recipe, **more: Any) -> Problem:
    """A problem, unchecked, from its two parts; their ids must differ."""
    return Problem(model, retain + forget, forget.ids, recipe, **more)


def with_parts(
    problem: Problem, retain: Examples | None = None, forget: Examples | None = None, **more: Any
) -> Problem:
    """The same problem with another retained or forgotten part."""
    stays, goes = problem.retain if retain is None else retain, problem.forget if forget is None else forget
    return replace(problem, seen=stays + goes, forget_ids=goes.ids, **more)


def renumbered(examples: Examples, first: int = 100_000) -> Examples:
    """The same examples under other ids."""
    return replace(examples, ids=examples.ids + first)
