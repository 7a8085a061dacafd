"""The channels of a net: which entries of which tensors make a channel, and which read it."""

from __future__ import annotations

from torch import nn

from lacunar.core.errors import NotApplicable
from lacunar.data.batches import Inputs
from lacunar.sparsity.channels.channel import Channels, Part
from lacunar.sparsity.channels.dependency import dependent_channels
from lacunar.sparsity.channels.tracing import traced_channels

__all__ = ["Channels", "Part", "channels_of"]


def channels_of(model: nn.Module, example: Inputs | None = None) -> list[Channels]:
    """The prunable channels of a net, in the order in which they are made.

    Follows channels through convolutions (depthwise ones included), linear layers, BatchNorm, dropout, pooling,
    flattening, additions, and activations that keep zero at zero. Whatever else a channel meets, the input and the
    output included, makes it unprunable; so do shared, frozen or re-parametrised weights.

    Args:
        example: prepared inputs. With them and the ``prune`` extra, a net that cannot be traced symbolically is run
            once and its autograd graph is followed instead.

    Raises:
        NotApplicable: the forward pass cannot be traced, and there is no example or no ``prune`` extra.
    """
    try:
        return traced_channels(model)
    except Exception as error:
        # Tracing runs the user's forward pass, which may raise anything.
        if example is not None:
            return dependent_channels(model, example)
        raise NotApplicable(
            f"the channels of {type(model).__name__} cannot be followed: torch.fx cannot trace its forward pass "
            f"({type(error).__name__}: {error}); with an example and the extra lacunar[prune] it can be run instead"
        ) from error
