r"""The gradients of a Linear layer for all examples, as their factors: never formed, whatever the size of the layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lacunar.core.named import Named
from lacunar.curvature.objective import Objective, budget
from lacunar.curvature.per_example_passes import Factors
from lacunar.curvature.stored_rows import outer


@dataclass(frozen=True, eq=False)
class LinearRows:
    r"""R, whose row of example n is :math:`\delta_n a_n^\top` (and :math:`\delta_n` for the bias); n times in + out.

    Attributes:
        delta, a: ``[n, out]`` and ``[n, in]`` in float64.
        weight, bias: names; None for a bias that does not vary.
    """

    objective: Objective
    weight: str
    bias: str | None
    delta: Tensor
    a: Tensor

    @classmethod
    def of(cls, objective: Objective, chunks: Iterable[Factors]) -> LinearRows:
        """One layer's rows from the factors of consecutive examples, one vector for each."""
        given = list(chunks)
        delta = torch.cat([f.delta[:, 0].double() for f in given])
        return cls(objective, given[0].weight, given[0].bias, delta, torch.cat([f.a.double() for f in given]))

    def gram(self) -> Tensor:
        r"""R Rᵀ: :math:`(\delta_n \cdot \delta_m)(a_n \cdot a_m + 1)` where all weights of the layer are free."""
        room, inside = budget(self.objective.device), self.objective.selected(self.weight)
        of_delta = outer(self.delta, room)
        total = of_delta * outer(self.a, room) if inside is None else self._gram_inside(inside, room)
        if self.bias is not None:
            free = self.objective.selected(self.bias)
            total += of_delta if free is None else outer(self.delta[:, free], room)
        return total

    def times(self, v: Mapping[str, Tensor]) -> Tensor:
        """R v in float64."""
        total = ((self.a @ self._inside(self.weight, v[self.weight].to(self.a)).T) * self.delta).sum(1)
        if self.bias is not None:
            total += self.delta @ self._inside(self.bias, v[self.bias].to(self.a))
        return total

    def back(self, a: Tensor) -> Named:
        """Rᵀ a in float64."""
        weighted = self.delta * a.to(self.delta)[:, None]
        found = {self.weight: self._inside(self.weight, weighted.T @ self.a)}
        if self.bias is not None:
            found[self.bias] = self._inside(self.bias, weighted.sum(0))
        return found

    def _inside(self, name: str, values: Tensor) -> Tensor:
        free = self.objective.selected(name)
        return values if free is None else values.masked_fill(~free, 0.0)

    def _gram_inside(self, inside: Tensor, room: int) -> Tensor:
        # A mask over pairs of inputs and outputs has no closed form: the free columns, some outputs at a time.
        n, step = len(self.a), max(1, room // (8 * self.a.numel()))
        total = torch.zeros(n, n, dtype=torch.float64, device=self.a.device)
        for free, delta in zip(torch.split(inside, step), torch.split(self.delta, step, 1), strict=True):
            total += outer((delta[:, :, None] * self.a[:, None, :])[:, free], room)
        return total
