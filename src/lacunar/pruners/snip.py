"""Prune the weights whose removal would change the loss least, before training."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.masks import Mask
from lacunar.core.named import Named
from lacunar.data.batches import Batch
from lacunar.data.examples import Source
from lacunar.sparsity.amount import Counts
from lacunar.sparsity.pruner import Pruner, Retraining
from lacunar.sparsity.scope import Scope
from lacunar.training.recipe import Recipe


@dataclass(frozen=True)
class Snip(Pruner):
    r"""Keep the weights of largest :math:`|w \cdot \partial L / \partial w|` at initialisation, on a few examples.

    L is the recipe's mean loss on one batch of ``per_class`` examples per class, BatchNorm in train mode, dropout off,
    no augmentation.

    Attributes:
        per_class: examples drawn from each class, or all of a smaller one.
        others: as in ``Pruner``.

    Departures from public code: that of Jia et al. scores the gradient alone, without the weight.
    """

    paper: ClassVar[str] = "Lee et al., SNIP: Single-shot Network Pruning, ICLR 2019, arXiv:1810.02340"
    scores: ClassVar[str] = "initial"
    needs: ClassVar[frozenset[str]] = frozenset({"examples", "rng"})

    sparsity: float = 0.95
    per_class: int = 25
    scope: str | tuple[str, ...] = "conv"
    level: str = "global"
    allow_empty: bool = True

    def __post_init__(self) -> None:
        Scope.of(self)
        if self.per_class < 1:
            raise BadInput(f"per_class is a number of examples, at least 1, got {self.per_class}")

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
        assert examples is not None
        assert rng is not None
        scores = saliency(model, examples.take(self.draw(examples.y, rng)), recipe or Recipe())
        return Scope.of(self).live(model, scores, counts, within)

    def draw(self, y: Tensor, rng: torch.Generator) -> Tensor:
        """Positions of ``per_class`` random examples of each class; labels that are no classes count as one class."""
        labels = y.cpu() if y.ndim == 1 and not y.is_floating_point() else torch.zeros(len(y), dtype=torch.int64)
        order = torch.randperm(len(labels), generator=rng)
        return torch.cat([order[labels[order] == c][: self.per_class] for c in torch.unique(labels)])


def saliency(model: nn.Module, examples: Source, recipe: Recipe) -> Named:
    r""":math:`|w \cdot \partial L / \partial w|` of every trainable weight, L the mean loss over ``examples``."""
    probe = copy.deepcopy(model).train()
    for module in probe.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
    batch = recipe.for_training(0, augmented=False)(next(iter(examples.batches(len(examples)))))
    assert isinstance(batch, Batch)
    with torch.enable_grad():
        gradient = named.gradient(recipe.mean_loss(probe, batch), probe)
    return named.apply(lambda w, g: (w * g).abs(), named.weights(probe), gradient)
