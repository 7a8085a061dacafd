"""The last linear layer on its own: features of the layers below are computed once, and the head is a small model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lacunar.core.errors import NotApplicable
from lacunar.curvature.objective import Objective
from lacunar.data.examples import Examples, Source
from lacunar.training import forward
from lacunar.training.recipe import Recipe

AGREE = 1e-4


@dataclass(frozen=True, eq=False)
class LastLayer:
    """A model cut before its last linear layer.

    Attributes:
        name: of the layer in the model; head: the layer itself.
    """

    model: nn.Module
    recipe: Recipe
    name: str
    head: nn.Linear

    @classmethod
    def of(cls, model: nn.Module, recipe: Recipe) -> LastLayer:
        """The cut.

        Raises:
            NotApplicable: there is no linear layer, or its weights are used elsewhere too.
        """
        found = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Linear)]
        if not found:
            raise NotApplicable("the model has no linear layer, so there is no head to update alone")
        name, head = found[-1]
        uses = [n for n, p in model.named_parameters(remove_duplicate=False) if p is head.weight]
        if len(uses) > 1:
            raise NotApplicable(
                f"the weights of the head are tied ({', '.join(uses)}): updating them moves the features"
            )
        return cls(model, recipe, name, head)

    def features(self, source: Source) -> Examples:
        """The inputs of the head for all examples, in stored order and under their ids: one pass of the whole model.

        Raises:
            NotApplicable: the head's outputs are not the model's logits.
        """
        objective = Objective.of(self.model, source, self.recipe)
        seen: list[Tensor] = []
        parts: list[Tensor] = []
        handle = self.head.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
        try:
            with objective.open(), torch.no_grad():
                for batch in objective.batches():
                    seen.clear()
                    z = forward.logits(self.model, batch.x)
                    parts.append(self._checked(seen, z))
        finally:
            handle.remove()
        x = torch.cat(parts)
        return Examples(x, source.y.to(x.device), source.ids.to(x.device))

    def alone(self) -> Recipe:
        """The recipe of the head on features: the same loss and penalty, no input preparation."""
        return Recipe(loss=self.recipe.loss, weight_decay=self.recipe.weight_decay, precision=self.recipe.precision)

    def _checked(self, seen: list[Tensor], z: Tensor) -> Tensor:
        if len(seen) == 1:
            out = nn.functional.linear(seen[0], self.head.weight, self.head.bias)
            if out.shape == z.shape and float((out - z).abs().max()) <= AGREE * (1 + float(z.abs().max())):
                return seen[0]
        raise NotApplicable(f"the outputs of the last linear layer, {self.name!r}, are not the model's logits")
