"""From scores to a mask of exactly as many weights as asked: the mask that every method takes as ``where=``."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, sample_of, unknown
from lacunar.core.masks import Mask

ORDERS = ("largest", "smallest", "random")
LEVELS = ("global", "layer")

_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.RMSNorm,
)


@dataclass(frozen=True)
class Selection:
    r"""Which weights are selected: ``floor(share * P)`` of the P candidates, by rank of their scores.

    Ties go to the lowest flat index, so the size is exact and the mask is the same everywhere.

    Attributes:
        share: of the candidates, in (0, 1].
        count: exactly so many weights instead of a share.
        order: the "largest" scores, the "smallest", or a "random" subset of the same size (scores are ignored).
        level: rank over all candidates together ("global"), or take the share of each weight tensor ("layer"), rounded
            down, so that a tensor of few weights may give none.
        norms, biases: whether weights of normalisation layers, and biases, are candidates.
        last_layers: only the last so many layers that hold weights, in the order of ``named_parameters``.
        layers: only layers whose name matches one of these patterns ("block3.*"); all by default.
    """

    share: float = 0.05
    count: int | None = None
    order: str = "largest"
    level: str = "global"
    norms: bool = True
    biases: bool = True
    last_layers: int | None = None
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, choices in (("order", ORDERS), ("level", LEVELS)):
            if getattr(self, name) not in choices:
                raise unknown(name, getattr(self, name), choices)
        if self.count is None and not 0 < self.share <= 1:
            raise BadInput(f"share must be in (0, 1], got {self.share}; write 0.05 for 5 %")
        if self.count is not None and (self.count < 1 or self.level != "global"):
            raise BadInput(f"count must be at least 1 and goes with level='global', got {self.count}, {self.level!r}")
        if self.last_layers is not None and self.last_layers < 1:
            raise BadInput(f"last_layers must be at least 1, got {self.last_layers}")

    def candidates(self, model: nn.Module, among: Mask | None = None) -> Mask:
        """The weights that may be selected, inside ``among`` (the live weights of a pruned model) if it is given.

        Raises:
            BadInput: none are left; the layers of the model are listed.
        """
        live = named.parameters(model)
        normal = {name for name, module in model.named_modules() if isinstance(module, _NORMS)}
        holders = list(dict.fromkeys(_layer(name) for name in live))
        last = set(holders if self.last_layers is None else holders[-self.last_layers :])

        def wanted(name: str) -> bool:
            layer = _layer(name)
            matches = not self.layers or any(fnmatch.fnmatchcase(layer, pattern) for pattern in self.layers)
            kept = (self.norms or layer not in normal) and (self.biases or not _is_bias(name))
            return layer in last and matches and kept

        whole = {n: torch.full_like(p, wanted(n), dtype=torch.bool, requires_grad=False) for n, p in live.items()}
        there = None if among is None else {name: m.to(live[name].device) for name, m in among.items()}
        inside = masks.both(whole, there)
        assert inside is not None
        if masks.count(inside) == 0:
            raise BadInput(f"no weight can be selected with these settings; layers with weights: {sample_of(holders)}")
        return inside

    def mask(
        self, model: nn.Module, scores: Mapping[str, Tensor], rng: torch.Generator, among: Mask | None = None
    ) -> Mask:
        """The selected weights: True entries, keyed as the trainable weights.

        Raises:
            BadInput: a share of less than one weight in all, more weights than there are candidates, or NaN scores.
        """
        among = self.candidates(model, among)
        named.same_keys(among, scores)
        if self.level == "global":
            return self._ranked(scores, among, rng, self._size(among))
        if self.floor(among) == 0:
            largest = max(int(inside.sum()) for inside in among.values())
            raise BadInput(
                f"a share of {self.share:g} is not one weight in any layer; the largest has {largest} candidates"
            )
        chosen: Mask = {}
        for name, inside in among.items():
            part = {name: inside}
            chosen |= self._ranked({name: scores[name]}, part, rng, self.floor(part))
        return chosen

    def floor(self, among: Mask) -> int:
        """How many of these candidates the share is, rounded down: all together, or tensor by tensor by ``level``."""
        groups = [masks.count(among)] if self.level == "global" else [int(inside.sum()) for inside in among.values()]
        # The tolerance undoes representation error: 29 % of 100 weights are 29.
        return sum(math.floor(self.share * n + 1e-9) for n in groups)

    def _ranked(self, scores: Mapping[str, Tensor], among: Mask, rng: torch.Generator, size: int) -> Mask:
        inside = named.flat(among)
        # A mask or scores read from a file have the same keys in another order.
        values = {"the candidates": named.flat({name: scores[name] for name in among})[inside]}
        if self.order == "random":
            picked = masks.random_k(values, size, rng)
        else:
            picked = masks.top_k(values if self.order == "largest" else named.scale(values, -1.0), size)
        return named.unflat(torch.zeros_like(inside).masked_scatter(inside, named.flat(picked)), among)

    def _size(self, among: Mask) -> int:
        size, candidates = self.count or self.floor(among), masks.count(among)
        if not 1 <= size <= candidates:
            asked = f"{self.count}" if self.count else f"a share of {self.share:g}"
            raise BadInput(f"{asked} of {candidates} candidate weights is {size}; ask for 1 to {candidates}")
        return size


def describe(mask: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """One row per weight tensor: ``{"weight", "selected", "of", "share"}``, and a last row for all of them."""
    rows = [_row(name, {name: m}) for name, m in mask.items()]
    return [*rows, _row("all", mask)]


def _row(name: str, part: Mapping[str, Tensor]) -> dict[str, Any]:
    return {"weight": name, "selected": masks.count(part), "of": named.count(part), "share": masks.density(part)}


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _is_bias(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last.startswith("bias") or last.endswith("_bias")
