"""A cluster of one class."""

from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.data.examples import Examples
from lacunar.scenarios.subclass import Subclass


def clustered() -> Examples:
    """Class 0 is three blobs of 20, 12 and 5 examples; class 1 is noise."""
    g = torch.Generator().manual_seed(0)
    sizes = (20, 12, 5)
    blobs = [torch.randn(n, 4, generator=g) * 0.1 + 10 * i for i, n in enumerate(sizes)]
    x = torch.cat([*blobs, torch.randn(30, 4, generator=g)])
    y = torch.cat([torch.zeros(37), torch.ones(30)]).long()
    order = torch.randperm(67, generator=g)
    return Examples.of(x[order], y[order], ids=torch.arange(67)[order] + 100)


@pytest.mark.parametrize(("part", "first", "last"), [(0, 100, 119), (1, 120, 131), (2, 132, 136)])
def test_finds_the_planted_parts_by_size(part, first, last):
    posed = Subclass(0, 3, part).pose(clustered(), generator_of(0))
    assert posed.forget_ids.tolist() == list(range(first, last + 1))
    assert posed.notes == (f"class 0 falls into 3 clusters of 20, 12, 5 examples; number {part} goes",)
    assert posed.forgotten_classes == ()


def test_same_stream_same_part():
    one, two = (Subclass(1, 4, 2).pose(clustered(), generator_of(3)).forget_ids for _ in range(2))
    assert torch.equal(one, two)


def test_refusals():
    with pytest.raises(BadInput, match="part is one of 0 to parts - 1"):
        Subclass(part=5)
    with pytest.raises(BadInput, match="no training example has label 7"):
        Subclass(7).pose(clustered(), generator_of(0))
    same = Examples.of(torch.zeros(10, 3), torch.arange(10) % 2)
    with pytest.raises(BadInput, match="fewer than 2 different examples"):
        Subclass(parts=2).pose(same, generator_of(0))
    texts = Examples.of({"ids": torch.zeros(10, 3)}, torch.arange(10) % 2)
    with pytest.raises(NotApplicable, match="use part_of_class"):
        Subclass().pose(texts, generator_of(0))
