"""What is trained, and the two ways to train it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.speed import public_way
from torch import Tensor, nn

from lacunar.catalog.registry import parse
from lacunar.core import named
from lacunar.core.rng import isolated
from lacunar.data.data_set import Splits
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe


@dataclass(frozen=True)
class Case:
    """A net on a part of a data set.

    Attributes:
        data, model: as in the catalog.
        n: training examples of a timed training.
        epochs, batch_size: of one timed training.
        augment: as in a recipe.
        lr: peak rate of the accuracy runs and of the timed ones.
        accuracy_n, accuracy_epochs, n_test: size of the runs whose accuracy is compared.
    """

    data: str
    model: str
    n: int
    epochs: int = 1
    batch_size: int = 128
    augment: str = "none"
    lr: float = 0.05
    accuracy_n: int = 2000
    accuracy_epochs: int = 5
    n_test: int = 2000

    def load(self) -> Splits:
        """The data of the accuracy runs; a timed training takes the first ``n``."""
        return parse("datasets", f"{self.data}:n_train={self.accuracy_n},n_test={self.n_test}").load()

    def recipe(self, data: Splits) -> Recipe:
        """How lacunar trains it."""
        return Recipe(
            parse("models", self.model).shaped(data.train),
            epochs=self.epochs,
            lr=self.lr,
            batch_size=self.batch_size,
            augment=self.augment,
            normalize=data.normalize,
        )


DIGITS: dict[str, Any] = {"batch_size": 64, "accuracy_n": 1200, "accuracy_epochs": 10, "n_test": 340}
CIFAR: dict[str, Any] = {"augment": "crop_flip", "lr": 0.1}
CASES = {
    "mlp 64-128-10, digits": Case("digits", "mlp", 1200, 3, **DIGITS),
    "small_cnn 1.6 k, digits": Case("digits", "small_cnn:width=8,depth=2", 1200, 2, **DIGITS),
    "mlp 784-128-10, Fashion-MNIST": Case("fashion_mnist", "mlp", 2000, 2, accuracy_n=5000),
    "small_cnn 24 k, Fashion-MNIST": Case("fashion_mnist", "small_cnn", 1280),
    "small_cnn 24 k, CIFAR-10": Case("cifar10", "small_cnn", 1024, **CIFAR),
    "resnet8, CIFAR-10": Case("cifar10", "resnet:depth=8", 640, **CIFAR),
    "resnet20, CIFAR-10": Case("cifar10", "resnet:depth=20", 384, **CIFAR, accuracy_epochs=4),
}

Way = Callable[[Recipe, Examples, int], nn.Module]


def ours(recipe: Recipe, examples: Examples, seed: int) -> nn.Module:
    """Training by lacunar."""
    return recipe.fit(examples, seed)


def public(recipe: Recipe, examples: Examples, seed: int, order: list[int] | None = None) -> nn.Module:
    """Training in the public way, from the same initialisation; ``order`` fixes the order of every epoch."""
    with isolated(seed, "public"):
        return public_way.train(
            recipe.fresh(seed),
            public_way.loader(images(recipe, examples), recipe.batch_size, order),
            epochs=recipe.epochs,
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            cosine=recipe.schedule == "cosine",
        )


WAYS: dict[str, Way] = {"ours": ours, "public": public}


def images(recipe: Recipe, examples: Examples) -> public_way.Images:
    """The same examples as a data set of PIL images with the same preparation."""
    assert isinstance(examples.x, Tensor) and recipe.normalize is not None
    pixels = examples.x[:, 0] if examples.x.shape[1] == 1 else examples.x.permute(0, 2, 3, 1)
    transform = public_way.transforms(recipe.normalize, recipe.augment != "none")
    return public_way.Images(pixels.contiguous().numpy(), examples.y.numpy(), transform)


class InDouble(nn.Module):
    """A net that computes in float64, since each ReLU amplifies the rounding of float32."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net.double()

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.net(x.double())
        return z


def agreement(recipe: Recipe, examples: Examples, batches: int = 4) -> dict[str, float]:
    """How far the two ways are apart when nothing is random: same start, same order, no augmentation, float64.

    Returns:
        ``inputs``: the largest difference of a prepared pixel; ``weights``: |ours - public| / |ours - start| after
        ``batches`` steps, Euclidean norm over all weights.
    """
    build = recipe.build
    assert build is not None
    fixed = replace(recipe, build=lambda: InDouble(build()), augment="none", schedule="constant", epochs=1)
    part = examples.take(torch.arange(min(batches * recipe.batch_size, len(examples))))
    order = torch.cat([part.positions(b.ids) for b in part.batches(recipe.batch_size, seed=0)]).tolist()
    start = named.weights(fixed.fresh(0))
    mine, theirs = (named.weights(model) for model in (ours(fixed, part, 0), public(fixed, part, 0, order)))
    prepared = fixed.prepare(part.x)
    assert isinstance(prepared, Tensor)
    plain = torch.stack([x for x, _ in images(fixed, part)])
    apart = named.norm(named.add(mine, theirs, -1.0)) / named.norm(named.add(mine, start, -1.0))
    return {"inputs": float((prepared - plain).abs().max()), "weights": apart}


def save(data: Splits, n: int, path: Path) -> None:
    """Write the first ``n`` training examples for a worker process."""
    part = data.train.take(torch.arange(n))
    assert isinstance(part, Examples) and data.normalize is not None
    np.savez(path, x=part.x, y=part.y, mean=data.normalize[0], deviation=data.normalize[1])


def restore(path: Path) -> Splits:
    """Read what :func:`save` wrote; the test part is not used."""
    with np.load(path, allow_pickle=False) as arrays:
        train = Examples.of(arrays["x"], arrays["y"])
        return Splits(train, train, (tuple(arrays["mean"].tolist()), tuple(arrays["deviation"].tolist())))
