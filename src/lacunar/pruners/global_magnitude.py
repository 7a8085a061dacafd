"""Prune the smallest weights, once."""

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
class GlobalMagnitude(Pruner):
    r"""Keep the weights of largest :math:`|w|` in a trained net, in one shot (OMP); fields as in ``Pruner``."""

    paper: ClassVar[str] = "Ma et al., Sanity Checks for Lottery Tickets, NeurIPS 2021, arXiv:2107.00166"
    scores: ClassVar[str] = "trained"

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
        return Scope.of(self).live(model, named.apply(torch.abs, named.weights(model)), counts, within)
