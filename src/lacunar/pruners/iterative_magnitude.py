"""Prune the smallest weights little by little, training in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.masks import Mask
from lacunar.core.named import Named
from lacunar.data.examples import Source
from lacunar.sparsity.amount import Counts
from lacunar.sparsity.pruner import Pruner, Retraining
from lacunar.sparsity.scope import Scope
from lacunar.training.recipe import Recipe


@dataclass(frozen=True)
class IterativeMagnitude(Pruner):
    r"""In each round prune a share of what is left by :math:`|w|`, rewind and train again (IMP).

    After k rounds :math:`(1 - \text{share})^k` of the weights in scope live, to one weight; the last round prunes just
    what the target still asks for. Costs one training per round, and one more for the final mask.

    Attributes:
        share: pruned in each round, of the weights that are left, in (0, 1).
        others: as in ``Pruner``.
    """

    paper: ClassVar[str] = "Frankle and Carbin, The Lottery Ticket Hypothesis, ICLR 2019, arXiv:1803.03635"
    scores: ClassVar[str] = "trained"
    iterative: ClassVar[bool] = True

    sparsity: float = 0.95
    share: float = 0.2
    scope: str | tuple[str, ...] = "conv"
    level: str = "global"
    allow_empty: bool = True

    def __post_init__(self) -> None:
        Scope.of(self)
        if not 0 < self.share < 1:
            raise BadInput(f"share is pruned in each round, in (0, 1), got {self.share}")

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
        scope = Scope.of(self)
        rounds = self.rounds(scope.room(model, within), scope.resolve(model, counts, within))
        if len(rounds) > 1 and retrain is None:
            raise NotApplicable(
                f"iterative_magnitude trains between its {len(rounds)} rounds: use train_pruned or prune_first, which "
                "know how, or global_magnitude for one shot"
            )
        live = scope.live(model, _magnitude(model), rounds[0], within)
        for kept in rounds[1:]:
            assert retrain is not None
            model = retrain(model, live)
            live = scope.live(model, _magnitude(model), kept, live)
        return live

    def rounds(self, room: dict[str, int], target: int | dict[str, int]) -> list[int] | list[dict[str, int]]:
        """How many weights live after each round, down from ``room`` to exactly ``target``."""
        if isinstance(target, int):
            return self._down(sum(room.values()), target)
        steps = {name: self._down(room[name], target[name]) for name in target}
        longest = max(len(kept) for kept in steps.values())
        return [{name: kept[min(i, len(kept) - 1)] for name, kept in steps.items()} for i in range(longest)]

    def _down(self, start: int, target: int) -> list[int]:
        kept: list[int] = []
        while (left := start - round((1 - (1 - self.share) ** (len(kept) + 1)) * start)) > target:
            kept.append(left)
        return [*kept, target]


def _magnitude(model: nn.Module) -> Named:
    return named.apply(torch.abs, named.weights(model))
