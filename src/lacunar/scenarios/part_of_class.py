"""A random part of one class must go."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lacunar.core.errors import BadInput
from lacunar.data.examples import Source
from lacunar.scenarios._draws import deletion, members, share_of
from lacunar.unlearning.scenario import Posed, Scenario, draw


@dataclass(frozen=True)
class PartOfClass(Scenario):
    """Training examples of one class, drawn uniformly without replacement; the class stays with its other examples.

    Attributes:
        label: the class.
        fraction: share of the class, in (0, 1), rounded to a whole number of examples.
    """

    label: int = 0
    fraction: float = 0.5

    def pose(self, train: Source, rng: torch.Generator) -> Posed:
        ids = members(train, self.label)
        count = share_of(self.fraction, len(ids))
        if count == len(ids):
            raise BadInput(f"fraction={self.fraction} is all {count} examples of class {self.label}; use whole_class")
        return deletion(train, draw(ids, count, rng))
