"""The matrix of per-example gradients as an operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lacunar.core.masks import Mask
from lacunar.core.named import Named
from lacunar.curvature.finite import finite
from lacunar.curvature.linear_rows import LinearRows
from lacunar.curvature.objective import Objective, budget
from lacunar.curvature.per_example import columns, directional, gram, of_loss, weighted_sum
from lacunar.curvature.per_example_passes import Factors, PulledBack, factored, pulled_back
from lacunar.curvature.stored_rows import STORED_SHARE, StoredRows


@dataclass(frozen=True, eq=False)
class GradientRows:
    r"""G ``[n, free weights]``: stored when it fits, recomputed for each product otherwise.

    Linear layers with one position per example are stored as factors, n times (in + out) numbers. What is stored is in
    the precision of the weights, products with it are float64; recomputed ones are in the precision of the weights.

    Attributes:
        keep: bytes that may be used to store it; None for four times the budget of one step.

    Raises:
        NotApplicable: a gradient is not finite.
    """

    objective: Objective
    keep: int | None = None
    _pieces: list[StoredRows | LinearRows] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        of = self.objective
        room = STORED_SHARE * budget(of.device) if self.keep is None else self.keep
        with of.open():
            layers = factored(of)
            closed = [name for pair in layers.values() for name in pair if name is not None]
            rest = of.only([name for name in of.weights if name not in closed])
            factors = sum(sum(of.weights[weight].shape) for weight, _ in layers.values())
            each = 8 * factors + of.dtype.itemsize * rest.width
            pieces = _stored(of, rest) if len(of.examples) * each <= room else []
        object.__setattr__(self, "_pieces", pieces)
        finite(of, self.back(torch.ones(len(self))))

    def __len__(self) -> int:
        return len(self.objective.examples)

    @property
    def free(self) -> Mask | None:
        """The weights that its columns stand for, None for all."""
        return self.objective.free

    def gram(self) -> Tensor:
        r""":math:`G G^\top`, ``[n, n]`` float64."""
        if not self._pieces:
            return gram(self.objective)
        total = self._pieces[0].gram()
        for piece in self._pieces[1:]:
            total += piece.gram()
        return total

    def times(self, v: Mapping[str, Tensor]) -> Tensor:
        """``G v``, ``[n]`` float64."""
        if not self._pieces:
            return directional(self.objective, v).double()
        return torch.stack([piece.times(v) for piece in self._pieces]).sum(0)

    def back(self, a: Tensor) -> Named:
        r""":math:`G^\top a`, float64."""
        if not self._pieces:
            return {name: t.double() for name, t in weighted_sum(self.objective, a).items()}
        found: Named = {}
        for piece in self._pieces:
            found |= piece.back(a)
        return self.objective.result(found, torch.float64)


def _stored(objective: Objective, rest: Objective) -> list[StoredRows | LinearRows]:
    rows = torch.empty(len(objective.examples), rest.width, dtype=objective.dtype, device=objective.device)
    factors: list[tuple[Factors, ...]] = []
    start = 0
    for part in pulled_back(objective, of_loss(objective)):
        if rest.weights:
            piece = columns(rest, PulledBack(part.full, ()))[:, 0]
            rows[start : start + len(piece)] = piece
            start += len(piece)
        factors.append(part.factors)
    layers: list[StoredRows | LinearRows] = [LinearRows.of(objective, same) for same in zip(*factors, strict=True)]
    return [StoredRows(rest, rows), *layers] if rest.weights else layers
