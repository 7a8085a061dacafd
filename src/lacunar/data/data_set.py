"""What a data set is: a value that loads its parts."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from lacunar.catalog.plugin import Plugin
from lacunar.data.examples import Source


@dataclass(frozen=True)
class Splits:
    """The parts of a data set. Ids of all parts are disjoint: test ids go on where training ids end.

    Attributes:
        train: what a model is trained on.
        test: what utility is judged on.
        normalize: per-channel (mean, standard deviation) of the inputs in [0, 1], for the recipe; None if not needed.
        validation: held-out examples that only the judge has, if the data set has such a part.
        classes: names of the classes, in label order; may be empty.
        note: what must be said under any table made with these data.
        tuning: held-out examples that a method may look at, if the data set has such a part.
    """

    train: Source
    test: Source
    normalize: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    validation: Source | None = None
    classes: tuple[str, ...] = ()
    note: str = ""
    tuning: Source | None = None

    def to(self, device: torch.device) -> Splits:
        """All parts on ``device``."""
        moved = {name: part.to(device) for name, part in vars(self).items() if isinstance(part, Source)}
        return replace(self, **moved)  # type: ignore[arg-type]


class DataSource(Plugin):
    """A data set with its settings (size of a subset, seed of a split, folder)."""

    kind: ClassVar[str] = "datasets"

    @abstractmethod
    def load(self) -> Splits:
        """Read or make the data.

        Raises:
            NotApplicable: the files are not there; the message says where they were looked for and how to get them.
        """
