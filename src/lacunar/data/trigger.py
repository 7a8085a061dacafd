"""The mark that makes a backdoor: a square patch near a corner of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.batches import Inputs


@dataclass(frozen=True)
class Trigger:
    """A square of one value near the lower right corner.

    Attributes:
        size: its side in pixels.
        margin: pixels between it and the border, so that 4 and 2 mark rows and columns [-6:-2].
        value: what its pixels become, in the units of the raw images (0 to 255 for uint8).
    """

    size: int = 4
    margin: int = 2
    value: float = 0.0

    def __post_init__(self) -> None:
        if self.size < 1 or self.margin < 0:
            raise BadInput(f"a trigger has size >= 1 and margin >= 0, got {self.size} and {self.margin}")

    @classmethod
    def of(cls, settings: Any) -> Self:
        """From the fields ``trigger_size``, ``margin`` and ``value`` of a scenario or an evaluator."""
        return cls(settings.trigger_size, settings.margin, settings.value)

    def stamp(self, x: Inputs) -> Tensor:
        """Marked copies of raw images ``[n, channels, height, width]``.

        Raises:
            NotApplicable: inputs that are no images.
            BadInput: a square that does not fit, or a value that uint8 cannot hold.
        """
        if isinstance(x, dict) or x.ndim != 4:
            raise NotApplicable("a trigger is stamped on images [n, channels, height, width], and these are none")
        if self.size + self.margin > min(x.shape[2:]):
            raise BadInput(f"a trigger of {self.size} + {self.margin} pixels does not fit images {tuple(x.shape[2:])}")
        if not x.is_floating_point() and not (0 <= self.value <= 255 and self.value == round(self.value)):
            raise BadInput(f"value={self.value} is no pixel of these images, which hold whole numbers from 0 to 255")
        marked = x.clone()
        first = [side - self.margin - self.size for side in x.shape[2:]]
        marked[..., first[0] : first[0] + self.size, first[1] : first[1] + self.size] = self.value
        return marked
