"""A user's own list must go."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lacunar.core.errors import BadInput
from lacunar.data.examples import Source
from lacunar.data.ids import as_ids
from lacunar.scenarios._draws import deletion
from lacunar.unlearning.scenario import Posed, Scenario


@dataclass(frozen=True)
class Ids(Scenario):
    """Exactly these training examples; nothing is random. An id that is given twice counts once, and is noted.

    Attributes:
        ids: ids of training examples.
    """

    ids: tuple[int, ...] = ()

    def pose(self, train: Source, rng: torch.Generator) -> Posed:
        if not self.ids:
            raise BadInput("there are no ids to forget: give ids=[...]")
        distinct = torch.unique(as_ids(self.ids))
        repeats = len(distinct) < len(self.ids)
        notes = (f"{len(self.ids)} ids were given, {len(distinct)} of them distinct",) if repeats else ()
        return deletion(train, distinct, notes)
