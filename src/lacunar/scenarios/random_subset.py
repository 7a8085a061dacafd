"""A random part of the training set must go."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lacunar.data.examples import Source
from lacunar.scenarios._draws import deletion, share_of
from lacunar.unlearning.scenario import Posed, Scenario, draw


@dataclass(frozen=True)
class RandomSubset(Scenario):
    """Training examples drawn uniformly without replacement, whatever their class.

    Attributes:
        fraction: share of the training set, in (0, 1), rounded to a whole number of examples.
        n: that many examples instead of a share.
    """

    fraction: float = 0.1
    n: int | None = None

    def pose(self, train: Source, rng: torch.Generator) -> Posed:
        count = share_of(self.fraction, len(train)) if self.n is None else self.n
        return deletion(train, draw(train.ids, count, rng))
