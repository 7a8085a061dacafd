"""Control: a random rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from lacunar.core import named
from lacunar.core.named import Named
from lacunar.core.rng import generator_of
from lacunar.sparsity.score import Basis, Score


@dataclass(frozen=True)
class Random(Score):
    """Uniform draws in [0, 1): what every other score must beat."""

    paper: ClassVar[str] = "control"
    needs: ClassVar[frozenset[str]] = frozenset()

    def of(self, basis: Basis) -> Named:
        generator = generator_of(basis.seed, "random")
        weights = named.weights(basis.model)
        return {name: torch.rand(w.shape, generator=generator).to(w) for name, w in weights.items()}
