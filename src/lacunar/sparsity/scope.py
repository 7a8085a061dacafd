"""Which weights a pruner may take, how many of them live on, and the mask that follows from scores."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any, Self, TypeAlias

import torch
from torch import Tensor, nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable, sample_of, unknown
from lacunar.core.masks import Mask

Counts: TypeAlias = int | Mapping[str, int]
"""How many weights stay live: in all, or per weight tensor by name."""

LAYERS: dict[str, tuple[type[nn.Module], ...]] = {
    "conv": (nn.modules.conv._ConvNd,),
    "conv+linear": (nn.modules.conv._ConvNd, nn.Linear),
}


@dataclass(frozen=True)
class Scope:
    """Where a pruner works and how far it goes; every pruner has these fields.

    Attributes:
        sparsity: share of the weights in scope to prune, in [0, 1). Of d weights round(sparsity * d) go.
        scope: "conv" is the weights of convolutions, so that linear layers, BatchNorm and biases stay dense, as
            published; "conv+linear" adds linear layers; or patterns of weight names, e.g. ("stage3*", "head.weight").
        level: "global" ranks all weights in scope together, "layer" each tensor by itself.
        allow_empty: only warn when a tensor loses all its weights.

    Raises:
        BadInput: a sparsity that is not in [0, 1), a pattern without a match, an unknown name.
    """

    sparsity: float = 0.95
    scope: str | tuple[str, ...] = "conv"
    level: str = "global"
    allow_empty: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise BadInput(f"sparsity is the share of weights to prune, in [0, 1), got {self.sparsity}")
        if self.level not in ("global", "layer"):
            raise unknown("level", self.level, ("global", "layer"))
        if isinstance(self.scope, str) and self.scope not in LAYERS:
            raise unknown("scope (patterns are given as a list)", self.scope, LAYERS)

    @classmethod
    def of(cls, pruner: Any) -> Self:
        """The fields of a pruner that are also fields here."""
        return cls(**{f.name: getattr(pruner, f.name) for f in fields(cls)})

    def names(self, model: nn.Module) -> list[str]:
        """The names of the weights in scope, in the order of ``named_parameters()``.

        Raises:
            NotApplicable: the model has no layer of the kind asked for; what could be pruned is listed.
        """
        live = named.parameters(model)
        if not isinstance(self.scope, str):
            for pattern in self.scope:
                if not any(fnmatchcase(name, pattern) for name in live):
                    raise BadInput(f"no weight is named like {pattern!r}; the model has {sample_of(live, 30)}")
            return [name for name in live if any(fnmatchcase(name, pattern) for pattern in self.scope)]
        if found := _weights_of(model, LAYERS[self.scope]):
            return found
        prunable = _weights_of(model, LAYERS["conv+linear"]) or [n for n, p in live.items() if p.ndim > 1]
        raise NotApplicable(
            f"scope={self.scope!r} matches no weight of this model; prunable are {sample_of(prunable, 30)}: "
            'give scope="conv+linear" or a list of names'
        )

    def counts(self, model: nn.Module) -> Counts:
        """How many weights of a dense model stay live, as ``level`` counts them."""
        sizes = {name: named.parameters(model)[name].numel() for name in self.names(model)}
        if self.level == "layer":
            return {name: size - round(self.sparsity * size) for name, size in sizes.items()}
        total = sum(sizes.values())
        return total - round(self.sparsity * total)

    def counts_of(self, model: nn.Module, mask: Mapping[str, Tensor]) -> Counts:
        """How many weights in scope a given mask keeps, as ``level`` counts them."""
        kept = {name: int(mask[name].sum()) for name in self.names(model)}
        return kept if self.level == "layer" else sum(kept.values())

    def room(self, model: nn.Module, within: Mapping[str, Tensor] | None = None) -> dict[str, int]:
        """How many weights of each tensor in scope could stay live: all, or those inside ``within``."""
        live = named.parameters(model)
        return {n: live[n].numel() if within is None else int(within[n].sum()) for n in self.names(model)}

    def resolve(
        self, model: nn.Module, counts: Counts | None = None, within: Mapping[str, Tensor] | None = None
    ) -> int | dict[str, int]:
        """``counts`` checked against this model; None stands for what ``sparsity`` says.

        Counts of tensors out of scope are taken when they say that the tensor stays dense, so that
        :func:`live_counts` of a whole mask serves.

        Raises:
            BadInput: counts that cannot be kept.
        """
        room = self.room(model, within)
        dense = {name: p.numel() for name, p in named.parameters(model).items() if name not in room}
        return checked(self.counts(model) if counts is None else counts, room, dense)

    def select(
        self,
        model: nn.Module,
        scores: Mapping[str, Tensor],
        counts: Counts | None = None,
        within: Mapping[str, Tensor] | None = None,
    ) -> Mask:
        """The mask of the highest scores: exactly ``counts`` weights, ties to the lowest flat index.

        Args:
            scores: one per weight in scope; others are ignored.
            counts: what stays live in scope, in all or per tensor; by default what ``sparsity`` says.
            within: live weights of a model that is pruned already; none outside comes back.

        Raises:
            BadInput: NaN scores, counts that cannot be kept, or (``allow_empty=False``) a tensor left without weights.
        """
        kept = self.resolve(model, counts, within)
        ranked = {name: scores[name] for name in self.names(model)}
        if within is not None:
            ranked = {name: s.masked_fill(~within[name], -torch.inf) for name, s in ranked.items()}
        chosen = self.pick(ranked, kept)
        outside = masks.full(named.parameters(model), True) if within is None else within
        return {name: chosen.get(name, part) for name, part in outside.items()}

    def pick(self, ranked: Mapping[str, Tensor], kept: Counts) -> Mask:
        """The ``kept`` highest of these scores, over all tensors or in each; warns of a tensor that keeps none."""
        if isinstance(kept, int):
            chosen = masks.top_k(ranked, kept)
        else:
            chosen = {name: masks.top_k({name: s}, kept[name])[name] for name, s in ranked.items()}
        if empty := [name for name, live in chosen.items() if not bool(live.any())]:
            text = f"nothing of {sample_of(empty)} is left: the net is cut there"
            if not self.allow_empty:
                raise BadInput(f'{text}; lower sparsity, or prune per layer (level="layer")')
            warnings.warn(text, stacklevel=3)
        return chosen


def checked(counts: Counts, room: Mapping[str, int], dense: Mapping[str, int]) -> int | dict[str, int]:
    """``counts`` of the tensors in ``room``, after a check that so many can live there.

    Args:
        room: the most that each tensor in scope can keep.
        dense: the sizes of tensors out of scope, whose counts may be given but not differ.

    Raises:
        BadInput: counts that cannot be kept, lack a tensor, or name one out of scope.
    """
    if isinstance(counts, int):
        if not 0 <= counts <= sum(room.values()):
            raise BadInput(f"cannot keep {counts}: {sum(room.values())} in scope are live")
        return counts
    if wrong := sorted(name for name, k in counts.items() if name not in room and k != dense.get(name)):
        raise BadInput(f"counts name {sample_of(wrong)}, which this scope does not prune")
    if missing := sorted(set(room) - set(counts)):
        raise BadInput(f"counts lack {sample_of(missing)}; give one for each weight in scope, or one total")
    if wrong := sorted(name for name, most in room.items() if not 0 <= counts[name] <= most):
        raise BadInput(f"cannot keep {counts[wrong[0]]} of {wrong[0]}: {room[wrong[0]]} are live")
    return {name: counts[name] for name in room}


def live_counts(mask: Mapping[str, Tensor]) -> dict[str, int]:
    """Live weights of every tensor of a mask: what ``counts`` takes, to prune another model to the same numbers."""
    return {name: int(part.sum()) for name, part in mask.items()}


def _weights_of(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[str]:
    owners = {id(module.weight) for module in model.modules() if isinstance(module, kinds)}
    return [name for name, p in named.parameters(model).items() if id(p) in owners]
