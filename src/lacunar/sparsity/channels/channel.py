"""What a channel is made of, as values."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lacunar.core.errors import BadInput


@dataclass(frozen=True)
class Part:
    """Entries of a tensor that belong to channels: c owns ``repeat`` places along ``dim``, from c * repeat on.

    Raises:
        BadInput: a place that no tensor has.
    """

    name: str
    dim: int = 0
    repeat: int = 1

    def __post_init__(self) -> None:
        if self.dim < 0 or self.repeat < 1:
            raise BadInput(f"{self.name} has no dimension {self.dim} with {self.repeat} places for each channel")

    def rows(self, tensor: Tensor) -> Tensor:
        """The entries of ``tensor`` by channel: ``[channels, ...]``."""
        moved = tensor.movedim(self.dim, 0)
        return moved.reshape(moved.shape[0] // self.repeat, -1)

    def where(self, channels: Tensor, like: Tensor) -> Tensor:
        """The bool ``channels [size]``, spread over a tensor shaped like ``like``."""
        shape = [1] * like.ndim
        shape[self.dim] = -1
        return channels.to(like.device).repeat_interleave(self.repeat).reshape(shape).expand(like.shape)


@dataclass(frozen=True)
class Channels:
    """Channels that live or die one by one, each across several tensors.

    A channel whose ``makers`` are all zero is zero behind every operation up to its ``readers``, so that taking it out
    everywhere changes no output.

    Attributes:
        name: the first weight that makes them.
        size: how many there are.
        makers: rows of weights and biases, BatchNorm scales and shifts: all trainable.
        buffers: BatchNorm statistics.
        readers: columns of the weights that take the channels in.
        tied: whether several layers make them together, being added up along a residual path.
    """

    name: str
    size: int
    makers: tuple[Part, ...]
    buffers: tuple[Part, ...]
    readers: tuple[Part, ...]
    tied: bool
