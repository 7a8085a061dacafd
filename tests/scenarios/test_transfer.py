"""Classes go before features are transferred."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.data.data_set import DataSource, Splits
from lacunar.data.examples import Examples
from lacunar.scenarios.transfer import Transfer


def axes(labels: dict[int, tuple[float, ...]], n: int = 6) -> Examples:
    """``n`` examples of each class around its mean."""
    g = torch.Generator().manual_seed(0)
    y = torch.tensor([label for label in labels for _ in range(n)])
    x = torch.stack([torch.tensor(labels[int(c)]) for c in y]) + 0.01 * torch.randn(len(y), 3, generator=g)
    return Examples.of(x, y, ids=torch.arange(len(y)) + 50)


SOURCE = {0: (1.0, 0.0, 0.0), 1: (0.0, 1.0, 0.0), 2: (0.0, 0.0, 1.0), 3: (1.0, 1.0, 0.0)}


@dataclass(frozen=True)
class Downstream(DataSource):
    width: int = 3

    def load(self) -> Splits:
        data = axes({0: (0.9, 0.1, 0.0), 1: (0.1, 0.9, 0.0)})
        data = Examples.of(data.x[:, : self.width], data.y)
        return Splits(data, data)


def test_removes_the_classes_named():
    train = axes(SOURCE)
    posed = Transfer((2, 0)).pose(train, generator_of(0))
    assert set(train.where(posed.forget_ids).y.tolist()) == {0, 2} and len(posed.forget_ids) == 12
    assert posed.forgotten_classes == (0, 2)
    assert posed.notes == ("classes 2, 0 of 4 go",)


def test_least_similar_classes_are_those_far_from_every_downstream_class():
    posed = Transfer(count=1, downstream=Downstream()).pose(axes(SOURCE), generator_of(0))
    assert posed.forgotten_classes == (2,)


def test_units_of_pixels_do_not_matter():
    train = axes(SOURCE)
    bytes_ = Examples.of((train.x.clamp(0, 1) * 255).to(torch.uint8), train.y)
    assert Transfer(count=1, downstream=Downstream()).pose(bytes_, generator_of(0)).forgotten_classes == (2,)


def test_refusals():
    train = axes(SOURCE)
    for both in (Transfer(), Transfer((1,), 2)):
        with pytest.raises(BadInput, match="say which classes go"):
            both.pose(train, generator_of(0))
    with pytest.raises(BadInput, match="give downstream="):
        Transfer(count=1).pose(train, generator_of(0))
    with pytest.raises(BadInput, match="cannot remove 4 of 4 classes"):
        Transfer(count=4, downstream=Downstream()).pose(train, generator_of(0))
    with pytest.raises(BadInput, match="3 values here and 2 in"):
        Transfer(count=1, downstream=Downstream(2)).pose(train, generator_of(0))
    with pytest.raises(BadInput, match="no training example has label 9"):
        Transfer((9,)).pose(train, generator_of(0))
    texts = Examples.of({"ids": torch.zeros(10, 3)}, torch.arange(10) % 2)
    with pytest.raises(NotApplicable, match="name them in remove="):
        Transfer(count=1, downstream=Downstream()).pose(texts, generator_of(0))
