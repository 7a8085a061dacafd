"""Prune at random: the control of every other pruner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lacunar.core import named
from lacunar.core.masks import Mask
from lacunar.data.examples import Source
from lacunar.sparsity.amount import Counts
from lacunar.sparsity.pruner import Pruner, Retraining
from lacunar.sparsity.scope import Scope
from lacunar.training.recipe import Recipe


@dataclass(frozen=True)
class Random(Pruner):
    """Keep weights drawn uniformly without replacement; fields as in ``Pruner``.

    With ``counts=live_counts(mask)`` each tensor keeps as many as under ``mask``, which shows what the choice of
    weights adds to the choice of layer sizes.
    """

    paper: ClassVar[str] = "Ma et al., Sanity Checks for Lottery Tickets, NeurIPS 2021, arXiv:2107.00166"
    scores: ClassVar[str] = "initial"
    needs: ClassVar[frozenset[str]] = frozenset({"rng"})

    sparsity: float = 0.95
    scope: str | tuple[str, ...] = "conv"
    level: str = "global"
    allow_empty: bool = True

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
        def draw(weight: Tensor) -> Tensor:
            return torch.rand(weight.shape, generator=rng, dtype=torch.float64).to(weight.device)

        return Scope.of(self).live(model, named.apply(draw, named.weights(model)), counts, within)
