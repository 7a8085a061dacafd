"""What a scenario is: a rule that says which training examples must go."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lacunar.catalog.plugin import Plugin
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.corrections import blank
from lacunar.data.examples import Examples, Source


@dataclass(frozen=True)
class Posed:
    """A scenario applied to a training set.

    Attributes:
        forget_ids: int64, distinct training ids.
        seen: what the first training saw (equal to the training set unless it was poisoned or mislabelled).
        corrected: corrected rows for the forget ids; None means deletion.
        forgotten_classes: classes that disappear entirely; test accuracy is over the others then.
        notes: what a reader should know, e.g. how many poisoned images had the target label already.
        zeroed: columns of the flattened input that are removed: they are to be 0 in test inputs too.
    """

    forget_ids: Tensor
    seen: Source
    corrected: Source | None = None
    forgotten_classes: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    zeroed: tuple[int, ...] = ()

    def as_asked(self, source: Source | None) -> Source | None:
        """Inputs as the corrected model may be asked about them: without the removed columns.

        Raises:
            NotApplicable: columns of data that are read on demand.
        """
        if source is None or not self.zeroed:
            return source
        if not isinstance(source, Examples):
            raise NotApplicable("columns are set to 0 in data that are in memory; these are read on demand")
        return blank(source, self.zeroed)


class Scenario(Plugin):
    """A rule that poses an unlearning problem on any training set. One frozen dataclass per file in ``scenarios/``."""

    kind: ClassVar[str] = "scenarios"

    @abstractmethod
    def pose(self, train: Source, rng: torch.Generator) -> Posed:
        """Choose what must go; ``rng`` is the only source of randomness.

        Raises:
            BadInput: a class, share or id that the training set does not have.
        """


def draw(ids: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """``n`` of ``ids``, uniformly without replacement, in ascending order."""
    if not 0 < n <= len(ids):
        raise BadInput(f"cannot draw {n} of {len(ids)} examples; ask for 1 to {len(ids)}")
    return torch.sort(ids.cpu()[torch.randperm(len(ids), generator=rng)[:n]]).values
