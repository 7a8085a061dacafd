"""What an exact unlearner is: a training architecture from which deletion is exact by construction."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Self

from torch import Tensor

from lacunar.catalog.plugin import Plugin
from lacunar.data.batches import Inputs
from lacunar.data.examples import Source
from lacunar.data.ids import Ids


class ExactUnlearner(Plugin):
    """A model that is trained so that examples can be deleted exactly, or with a certificate."""

    kind: ClassVar[str] = "exact_unlearners"

    @abstractmethod
    def fit(self, examples: Source, seed: int) -> Self:
        """Train on ``examples``."""

    @abstractmethod
    def delete(self, ids: Ids) -> Self:
        """The model as if these ids had never been there."""

    @abstractmethod
    def predict(self, x: Inputs) -> Tensor:
        """Logits ``[n, classes]``."""
