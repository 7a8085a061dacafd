"""Training sets that scenarios are posed on, and posing with the checks that every correction must pass."""

from __future__ import annotations

import torch

from lacunar.catalog.registry import parse
from lacunar.core.rng import generator_of
from lacunar.data import corrections
from lacunar.data.characters import example_of
from lacunar.data.examples import Examples
from lacunar.unlearning.scenario import Posed


def pose(text: str, train: Examples, seed: int = 0) -> Posed:
    posed = parse("scenarios", text).pose(train, generator_of(seed, "scenario"))
    if posed.corrected is not None:
        assert torch.equal(posed.corrected.ids, posed.forget_ids)
        assert torch.equal(corrections.differing(posed.seen, posed.corrected), posed.forget_ids), (
            "every corrected row differs"
        )
    rest = posed.seen.without(posed.forget_ids)
    assert torch.equal(rest.x, train.without(posed.forget_ids).x), "other rows are seen as they are"
    return posed


def sixty() -> Examples:
    """Sixty examples, 30 / 20 / 10 of three classes, ids that are not positions."""
    y = torch.tensor([0, 1, 0, 2, 0, 1] * 10)
    return Examples.of(torch.zeros(60, 2), y, ids=torch.arange(60) * 3 + 100)


def drawn(text: str, count: int) -> None:
    """Check that a draw from :func:`sixty` is exact, distinct, sorted and decided by the seed."""
    one, same, other = (pose(text, sixty(), seed).forget_ids for seed in (0, 0, 1))
    assert len(one) == len(torch.unique(one)) == count
    assert torch.equal(one, same) and torch.equal(one, one.sort().values)
    assert bool(sixty().has(one).all())
    assert count == 59 or not torch.equal(one, other)


def classes(counts: list[int]) -> Examples:
    y = torch.cat([torch.full((k,), c) for c, k in enumerate(counts)])
    g = torch.Generator().manual_seed(0)
    return Examples.of(torch.randn(len(y), 2, generator=g) + 5 * y[:, None], y, ids=torch.arange(len(y)) * 2 + 1)


def texts(n: int = 40, length: int = 32) -> Examples:
    made = [example_of(f"hello number {i}, how are you?", length) for i in range(n)]
    return Examples.of(torch.stack([x for x, _ in made]), torch.stack([y for _, y in made]), ids=torch.arange(n) + 7)
