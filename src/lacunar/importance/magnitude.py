"""How large a weight is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lacunar.core import named
from lacunar.core.named import Named
from lacunar.sparsity.score import Basis, Score


@dataclass(frozen=True)
class Magnitude(Score):
    r""":math:`|\theta_i|`. Needs no data."""

    paper: ClassVar[str] = "Han et al., Learning both Weights and Connections, NeurIPS 2015, arXiv:1506.02626"
    needs: ClassVar[frozenset[str]] = frozenset()

    def of(self, basis: Basis) -> Named:
        return {name: w.abs() for name, w in named.weights(basis.model).items()}
