"""Which weights are meant, and how many of them are chosen: to live on, to move, or to come back."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Self

import torch
from torch import Tensor, nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable, sample_of, unknown
from lacunar.core.masks import Mask
from lacunar.sparsity.amount import Amount, Count, Counts, Rest, Share, checked, live_counts, total

LAYERS: dict[str, tuple[type[nn.Module], ...]] = {
    "conv": (nn.modules.conv._ConvNd,),
    "conv+linear": (nn.modules.conv._ConvNd, nn.Linear),
}
ORDERS = ("largest", "smallest", "random")
LEVELS = ("global", "layer")

ALL = Share(1.0)

_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.RMSNorm,
)


@dataclass(frozen=True)
class Scope:
    """The weights that are meant, and how many of them are chosen by the rank of their scores.

    Ties go to the lowest flat index, so the size is exact and the mask is the same everywhere.

    Attributes:
        weights: "all"; "conv" is the weights of convolutions, so that linear layers, BatchNorm and biases are left
            alone; "conv+linear" adds linear layers; or patterns of weight names, e.g. ("stage3*", "head.weight").
        amount: how many of them are chosen.
        level: "global" ranks all of them together, "layer" each tensor by itself.
        order: the "largest" scores are chosen, the "smallest", or a "random" subset (scores are ignored).
        norms, biases: whether weights of normalisation layers, and biases, are meant.
        last_layers: only the last so many layers that hold weights, in the order of ``named_parameters``.
        layers: only layers whose name matches one of these patterns ("block3.*"); all by default.
        allow_empty: only warn when a tensor keeps no live weight.

    Raises:
        BadInput: an unknown word, a count for each layer, or fewer than one of the last layers.
    """

    weights: str | tuple[str, ...] = "all"
    amount: Amount = ALL
    level: str = "global"
    order: str = "largest"
    norms: bool = True
    biases: bool = True
    last_layers: int | None = None
    layers: tuple[str, ...] = ()
    allow_empty: bool = True

    def __post_init__(self) -> None:
        for name, choices in (("order", ORDERS), ("level", LEVELS)):
            if getattr(self, name) not in choices:
                raise unknown(name, getattr(self, name), choices)
        if isinstance(self.weights, str) and self.weights not in ("all", *LAYERS):
            raise unknown("scope (patterns are given as a list)", self.weights, ("all", *LAYERS))
        if isinstance(self.amount, Count) and self.level != "global":
            raise BadInput(f"count goes with level='global', got {self.amount} and {self.level!r}")
        if self.last_layers is not None and self.last_layers < 1:
            raise BadInput(f"last_layers must be at least 1, got {self.last_layers}")

    @classmethod
    def of(cls, pruner: Any) -> Self:
        """The scope that a pruner holds in its fields ``scope``, ``sparsity``, ``level`` and ``allow_empty``."""
        return cls(pruner.scope, Rest(pruner.sparsity), pruner.level, allow_empty=pruner.allow_empty)

    def names(self, model: nn.Module) -> list[str]:
        """The names of the weight tensors that are meant, in the order of ``named_parameters()``.

        Raises:
            NotApplicable: the model has no layer of the kind asked for; what could be pruned is listed.
            BadInput: a pattern without a match, or nothing is left; the layers of the model are listed.
        """
        holders = list(dict.fromkeys(_layer(name) for name in named.parameters(model)))
        last = set(holders if self.last_layers is None else holders[-self.last_layers :])
        normal = {name for name, module in model.named_modules() if isinstance(module, _NORMS)}

        def wanted(name: str) -> bool:
            layer = _layer(name)
            matches = not self.layers or any(fnmatchcase(layer, pattern) for pattern in self.layers)
            kept = (self.norms or layer not in normal) and (self.biases or not _is_bias(name))
            return layer in last and matches and kept

        if found := [name for name in self._of_kind(model) if wanted(name)]:
            return found
        raise _nothing(holders)

    def _of_kind(self, model: nn.Module) -> list[str]:
        names = list(named.parameters(model))
        if self.weights == "all":
            return names
        if not isinstance(self.weights, str):
            for pattern in self.weights:
                if not any(fnmatchcase(name, pattern) for name in names):
                    raise BadInput(f"no weight is named like {pattern!r}; the model has {sample_of(names, 30)}")
            return [name for name in names if any(fnmatchcase(name, pattern) for pattern in self.weights)]
        if found := _weights_of(model, LAYERS[self.weights]):
            return found
        matrices = [name for name, p in named.parameters(model).items() if p.ndim > 1]
        prunable = _weights_of(model, LAYERS["conv+linear"]) or matrices
        raise NotApplicable(
            f"scope={self.weights!r} matches no weight of this model; prunable are {sample_of(prunable, 30)}: "
            'give scope="conv+linear" or a list of names'
        )

    def inside(self, model: nn.Module, within: Mapping[str, Tensor] | None = None) -> Mask:
        """The weights that are meant, of those in ``within``: a mask that has only the tensors in scope."""
        weights = named.parameters(model)
        whole = masks.full({name: weights[name].detach() for name in self.names(model)}, True)
        return whole if within is None else {n: within[n].to(t.device, copy=True) for n, t in whole.items()}

    def room(self, model: nn.Module, within: Mapping[str, Tensor] | None = None) -> dict[str, int]:
        """How many weights of each tensor could be chosen: all, or those inside ``within``."""
        return live_counts(self.inside(model, within))

    def counts(self, model: nn.Module, within: Mapping[str, Tensor] | None = None) -> Counts:
        """How many weights are chosen, as ``level`` counts them: of a dense model, or of those inside ``within``."""
        room = self.room(model, within)
        if self.level == "layer":
            return {name: self.amount.of(size) for name, size in room.items()}
        return self.amount.of(sum(room.values()))

    def counts_of(self, model: nn.Module, mask: Mapping[str, Tensor]) -> Counts:
        """How many weights in scope a given mask has, as ``level`` counts them."""
        kept = live_counts({name: mask[name] for name in self.names(model)})
        return kept if self.level == "layer" else sum(kept.values())

    def resolve(
        self, model: nn.Module, counts: Counts | None = None, within: Mapping[str, Tensor] | None = None
    ) -> int | dict[str, int]:
        """``counts`` checked against this model; None stands for what ``amount`` says of the dense one.

        Counts of tensors out of scope are taken when they say that the tensor stays dense, so that
        :func:`live_counts` of a whole mask serves.

        Raises:
            BadInput: counts that cannot be kept.
        """
        room = self.room(model, within)
        dense = {name: p.numel() for name, p in named.parameters(model).items() if name not in room}
        return checked(self.counts(model) if counts is None else counts, room, dense)

    def live(
        self,
        model: nn.Module,
        scores: Mapping[str, Tensor],
        counts: Counts | None = None,
        within: Mapping[str, Tensor] | None = None,
    ) -> Mask:
        """The live weights after pruning: those chosen in scope, exactly ``counts``, and all that was live outside.

        Args:
            scores: one per weight in scope; others are ignored.
            counts: what stays live in scope, in all or per tensor; by default what ``amount`` says.
            within: live weights of a model that is pruned already; none outside comes back.

        Raises:
            BadInput: NaN scores, counts that cannot be kept, or (``allow_empty=False``) a tensor left without weights.
        """
        kept = self.resolve(model, counts, within)
        picked = self.pick(scores, kept, self.inside(model, within))
        self.check_cut(picked)
        outside = masks.full(named.parameters(model), True) if within is None else within
        return {name: picked.get(name, part) for name, part in outside.items()}

    def chosen(
        self,
        model: nn.Module,
        scores: Mapping[str, Tensor],
        rng: torch.Generator,
        within: Mapping[str, Tensor] | None = None,
    ) -> Mask:
        """The chosen weights alone: what may move, or, within the pruned ones, what comes back.

        Raises:
            BadInput: less than one weight in all, more than there are, NaN scores, or scores of another model.
        """
        inside = self.candidates(model, within)
        named.same_keys(inside, {name: scores[name] for name in inside if name in scores})
        picked = self.pick(scores, self._some(model, within), inside, rng)
        return {name: picked.get(name, none) for name, none in masks.full(named.parameters(model), False).items()}

    def candidates(self, model: nn.Module, within: Mapping[str, Tensor] | None = None) -> Mask:
        """The mask of :meth:`inside`, of one weight or more.

        Raises:
            BadInput: nothing is left; the layers of the model are listed.
        """
        inside = self.inside(model, within)
        if masks.count(inside) == 0:
            raise _nothing(dict.fromkeys(_layer(name) for name in named.parameters(model)))
        return inside

    def _some(self, model: nn.Module, within: Mapping[str, Tensor] | None) -> Counts:
        counts, room = self.counts(model, within), self.room(model, within)
        size, there = total(counts), sum(room.values())
        if size == 0 and self.level == "layer":
            largest = max(room.values())
            raise BadInput(f"{self.amount} is not one weight in any layer; the largest has {largest} candidates")
        if not 1 <= size <= there:
            raise BadInput(f"{self.amount} of {there} candidate weights is {size}; ask for 1 to {there}")
        return counts

    def pick(
        self,
        scores: Mapping[str, Tensor],
        counts: Counts,
        inside: Mapping[str, Tensor],
        rng: torch.Generator | None = None,
    ) -> Mask:
        """``counts`` of the entries in ``inside``, over all its tensors or in each, by ``order`` of their scores."""
        if isinstance(counts, int):
            return self._ranked(scores, inside, counts, rng)
        found: Mask = {}
        for name, part in inside.items():
            found |= self._ranked(scores, {name: part}, counts[name], rng)
        return found

    def _ranked(
        self, scores: Mapping[str, Tensor], inside: Mapping[str, Tensor], size: int, rng: torch.Generator | None
    ) -> Mask:
        # A mask or scores read from a file have the same keys in another order.
        values = {name: scores[name][part] for name, part in inside.items()}
        if self.order == "random":
            assert rng is not None
            picked = masks.random_k(values, size, rng)
        else:
            picked = masks.top_k(values if self.order == "largest" else named.scale(values, -1.0), size)
        return {n: torch.zeros_like(part).masked_scatter(part, picked[n]) for n, part in inside.items()}

    def check_cut(self, live: Mapping[str, Tensor]) -> None:
        """Warn of tensors without a live weight, or refuse them by ``allow_empty``."""
        if empty := [name for name, part in live.items() if not bool(part.any())]:
            text = f"nothing of {sample_of(empty)} is left: the net is cut there"
            if not self.allow_empty:
                raise BadInput(f'{text}; lower sparsity, or prune per layer (level="layer")')
            warnings.warn(text, stacklevel=4)


def _nothing(layers: Iterable[str]) -> BadInput:
    return BadInput(f"no weight can be selected with these settings; layers with weights: {sample_of(layers)}")


def _weights_of(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[str]:
    owners = {id(module.weight) for module in model.modules() if isinstance(module, kinds)}
    return [name for name, p in named.parameters(model).items() if id(p) in owners]


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _is_bias(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last.startswith("bias") or last.endswith("_bias")
