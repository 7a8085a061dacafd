r"""Rows that are stored in the precision of the weights, and multiplied in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lacunar.core.named import Named
from lacunar.curvature.objective import Objective, budget

CAST_BYTES = 8 << 20
"""Rows are cast so many bytes at a time: what stays near the processor is cast almost for free."""
LEAF = 128
STORED_SHARE = 4
"""Rows are kept in memory when they take at most this many times the budget of one step."""


@dataclass(frozen=True, eq=False)
class StoredRows:
    """A matrix R ``[rows, free weights]``.

    A product in float32 would lose what a solve with little damping needs; R itself need not be more exact.

    Attributes:
        objective: whose free weights are the columns, in the order of ``named.flat``.
        rows: R.
    """

    objective: Objective
    rows: Tensor

    def gram(self) -> Tensor:
        """R Rᵀ in float64."""
        return outer(self.rows, budget(self.objective.device))

    def times(self, v: Mapping[str, Tensor]) -> Tensor:
        """R v in float64."""
        vector = self.objective.vector(v).to(self.rows.device, torch.float64)
        return torch.cat([block.double() @ vector for block in torch.split(self.rows, self._step())])

    def back(self, a: Tensor) -> Named:
        """Rᵀ a in float64."""
        total = torch.zeros(self.rows.shape[1], dtype=torch.float64, device=self.rows.device)
        step = self._step()
        for block, part in zip(torch.split(self.rows, step), torch.split(a.to(total), step), strict=True):
            total += part @ block.double()
        found = self.objective.spread(total)
        return {name: found[name] for name in self.objective.weights}

    def _step(self) -> int:
        return max(1, CAST_BYTES // (8 * max(1, self.rows.shape[1])))


def outer(g: Tensor, room: int) -> Tensor:
    r""":math:`G G^\top` in float64, a few columns at a time: the cast copy must fit ``room`` bytes as well."""
    step = max(1, room // (8 * len(g)))
    total = torch.zeros(len(g), len(g), dtype=torch.float64, device=g.device)
    for piece in torch.split(g, step, 1):
        _add_lower(total, piece.double())
    return total.tril() + total.tril(-1).T


def _add_lower(total: Tensor, g: Tensor) -> None:
    # The blocks on and below the diagonal: half of the work, and exactly symmetric.
    if len(g) <= LEAF:
        total.addmm_(g, g.T)
        return
    half = len(g) // 2
    _add_lower(total[:half, :half], g[:half])
    _add_lower(total[half:, half:], g[half:])
    total[half:, :half].addmm_(g[half:], g[:half].T)
