"""Prune whole channels, so that the net can be made physically smaller."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from lacunar.core import masks, named
from lacunar.core.errors import NotApplicable
from lacunar.core.masks import Mask
from lacunar.data.batches import Inputs
from lacunar.data.examples import Source
from lacunar.sparsity.amount import Counts, checked
from lacunar.sparsity.channels import Channels, channels_of
from lacunar.sparsity.pruner import Pruner, Retraining
from lacunar.sparsity.scope import Scope
from lacunar.training.recipe import Recipe


@dataclass(frozen=True)
class Channel(Pruner):
    r"""Drop the output channels of smallest norm, each with its bias and its BatchNorm scale and shift.

    Of n channels :math:`\lfloor s n \rfloor` go, per layer or over all. A channel's score is the root mean square of
    all that makes it: its rows of weights, bias, scale, shift. The mask is constant over what makes a channel, so that
    the channel is exactly zero wherever it is read, and :func:`lacunar.sparsity.compact.compact` can slice it out.

    Attributes:
        sparsity: share of the channels, not of the weights.
        level: "layer" or "global".
        residual: channels that several layers make together along a residual path are left alone ("exclude") or pruned
            jointly in all of them ("tie").
        others: as in ``Pruner``; ``counts`` are numbers of channels, by the name of the first weight that makes them.
    """

    paper: ClassVar[str] = "Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017, arXiv:1608.08710"
    scores: ClassVar[str] = "trained"

    sparsity: float = 0.5
    scope: str | tuple[str, ...] = "conv"
    level: str = "layer"
    allow_empty: bool = True
    residual: Literal["exclude", "tie"] = "exclude"

    def mask(
        self,
        model: nn.Module,
        examples: Source | None = None,
        rng: torch.Generator | None = None,
        counts: Counts | None = None,
        *,
        recipe: Recipe | None = None,
        within: Mapping[str, Tensor] | None = None,
        retrain: Retraining | None = None,
    ) -> Mask:
        first = None if examples is None else (recipe or Recipe()).prepare(examples.inputs_at(torch.tensor([0])))
        groups, weights = self.groups(model, first), named.weights(model)
        mask = masks.full(weights, True) if within is None else dict(within)
        live = {c.name: live_channels(c, mask) for c in groups}
        room = {name: int(channels.sum()) for name, channels in live.items()}
        kept = checked(self._wanted(groups) if counts is None else counts, room, {})
        scope = Scope.of(self)
        chosen = scope.pick({c.name: strength(c, weights) for c in groups}, kept, live)
        scope.check_cut(chosen)
        for channels in groups:
            for part in channels.makers:
                mask[part.name] = mask[part.name] & part.where(chosen[channels.name], weights[part.name])
        return mask

    def counts(self, model: nn.Module, example: Inputs | None = None) -> Counts:
        return self._wanted(self.groups(model, example))

    def counts_of(self, model: nn.Module, mask: Mapping[str, Tensor], example: Inputs | None = None) -> Counts:
        kept = {c.name: int(live_channels(c, mask).sum()) for c in self.groups(model, example)}
        return kept if self.level == "layer" else sum(kept.values())

    def groups(self, model: nn.Module, example: Inputs | None = None) -> list[Channels]:
        """The channels that may be pruned; ``example`` as in :func:`~lacunar.sparsity.channels.channels_of`.

        Raises:
            NotApplicable: there are none in scope, or the net cannot be traced.
        """
        names = set(Scope.of(self).names(model))
        found = [c for c in channels_of(model, example) if names & {part.name for part in c.makers}]
        groups = [c for c in found if self.residual == "tie" or not c.tied]
        if not groups:
            hint = '; all are tied by additions: residual="tie" prunes them jointly' if found else ""
            raise NotApplicable(f"no channel of {type(model).__name__} in scope={self.scope!r} can be pruned{hint}")
        return groups

    def _wanted(self, groups: list[Channels]) -> Counts:
        if self.level == "layer":
            return {c.name: c.size - self._share(c.size) for c in groups}
        total = sum(c.size for c in groups)
        return total - self._share(total)

    def _share(self, size: int) -> int:
        # 0.29 * 100 is 28.999...: a share that is a whole number of channels must not lose one to rounding.
        return math.floor(self.sparsity * size + 1e-9)


def strength(channels: Channels, weights: Mapping[str, Tensor]) -> Tensor:
    """The root mean square of what makes each channel, ``[channels]`` float64."""
    rows = torch.cat([part.rows(weights[part.name]).double() for part in channels.makers], dim=1)
    return rows.square().mean(1).sqrt()


def live_channels(channels: Channels, mask: Mapping[str, Tensor]) -> Tensor:
    """Which channels have anything live among what makes them: bool ``[channels]``."""
    return torch.cat([part.rows(mask[part.name]) for part in channels.makers], dim=1).any(1)
