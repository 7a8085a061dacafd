"""What an exact unlearner is: a training from which deletion is exact by construction."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import nn

from lacunar.catalog.plugin import Plugin
from lacunar.core import named
from lacunar.core.errors import NotApplicable
from lacunar.core.weights import model_state
from lacunar.data.examples import Source
from lacunar.data.ids import Ids
from lacunar.training.recipe import Recipe


class ExactUnlearner(Plugin):
    """A model that is trained so that examples can be deleted exactly, or with a certificate."""

    kind: ClassVar[str] = "exact_unlearners"

    @abstractmethod
    def fit(self, examples: Source, recipe: Recipe, seed: int) -> Self:
        """Train on ``examples``, with what the recipe says of inputs and loss; how it optimises is the unlearner's own.

        Raises:
            NotApplicable: inputs, labels or a loss that this unlearner has no model for.
        """

    @abstractmethod
    def delete(self, ids: Ids) -> Self:
        """The model as if these ids had never been there."""

    @abstractmethod
    def as_module(self) -> nn.Module:
        """The fitted model, in eval mode: it takes inputs as the recipe prepares them, and returns logits."""


@dataclass(frozen=True)
class ExactTraining(Plugin):
    """What ``Recipe.train`` may be: each model of the recipe, oracles included, is a fit of an exact unlearner.

    Attributes:
        unlearner: what is fitted.
        normalize, augment, loss: of the recipe that it trains for.
    """

    kind: ClassVar[str] = "trainings"

    unlearner: ExactUnlearner
    normalize: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    augment: str = "none"
    loss: str = "cross_entropy"

    def __call__(self, model: nn.Module, examples: Source, seed: int) -> nn.Module:
        recipe = Recipe(normalize=self.normalize, augment=self.augment, loss=self.loss)
        fitted = self.unlearner.fit(examples, recipe, seed)
        return put_into(model, fitted.as_module(), self.unlearner)


def trained_by(unlearner: ExactUnlearner, recipe: Recipe) -> Recipe:
    """The recipe with each model fitted by an exact unlearner instead of trained by steps."""
    return replace(recipe, train=ExactTraining(unlearner, recipe.normalize, recipe.augment, recipe.loss))


@torch.no_grad()
def put_into(model: nn.Module, fitted: nn.Module, unlearner: ExactUnlearner) -> nn.Module:
    """``model`` with the weights of a module that an exact unlearner has fitted, in order; names do not matter.

    Raises:
        NotApplicable: it has weights of other shapes, or buffers.
    """
    new, old = named.parameters(fitted), named.parameters(model)
    shapes = [[tuple(weight.shape) for weight in weights.values()] for weights in (new, old)]
    if shapes[0] != shapes[1] or model_state(model).keys() != old.keys():
        raise NotApplicable(
            f"{unlearner.name()} fits a model with weights of the shapes {shapes[0]} and no buffers, and this one has "
            f"{shapes[1]}: take such a model (for a linear one: logistic), or a method for any model"
        )
    for mine, weight in zip(old.values(), new.values(), strict=True):
        mine.copy_(weight)
    return model
