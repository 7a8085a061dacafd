"""A whole class must go."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lacunar.data.examples import Source
from lacunar.scenarios._draws import deletion, members
from lacunar.unlearning.scenario import Posed, Scenario


@dataclass(frozen=True)
class WholeClass(Scenario):
    """All training examples of one class; nothing is random. Test accuracy is over the other classes then.

    Attributes:
        label: the class.
    """

    label: int = 0

    def pose(self, train: Source, rng: torch.Generator) -> Posed:
        return deletion(train, members(train, self.label).sort().values)
