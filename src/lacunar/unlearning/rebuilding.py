"""Whether a recipe makes the kind of model that is to be unlearned, and a new one each time."""

from __future__ import annotations

import torch
from torch import nn

from lacunar.core.errors import BadInput, sample_of
from lacunar.core.weights import model_state
from lacunar.training.recipe import Recipe


def check_build(model: nn.Module, recipe: Recipe) -> None:
    """Raise :class:`BadInput` unless ``recipe.build`` makes fresh models with the weights of ``model``.

    What a retrained model is compared with would otherwise be another architecture, or has seen the forgotten data. A
    recipe without ``build`` passes: it is never asked for a fresh model.
    """
    if recipe.build is None:
        return
    first, second = recipe.fresh(0), recipe.fresh(1)
    if model in (first, second) or _shared(model, first):
        raise BadInput(
            "the recipe's build returns the trained model itself, so retraining would start from what must be "
            "forgotten: let it make a new one"
        )
    if first is second or _shared(first, second):
        raise BadInput("the recipe's build returns the same model each time: let it make a new one")
    wanted, found = ({name: tuple(t.shape) for name, t in model_state(m).items()} for m in (model, first))
    if wrong := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
        shapes = ", ".join(f"{name}: {found.get(name, 'none')} for {wanted.get(name, 'none')}" for name in wrong[:3])
        raise BadInput(
            f"the recipe's build makes another model than the one given, which differs at {sample_of(wrong, 3)} "
            f"({shapes}): give the recipe of this model"
        )
    if all(_equal(model, other) for other in (first, second)):
        raise BadInput(
            "the recipe's build returns the weights of the trained model, whatever the seed, so retraining would start "
            "from what must be forgotten: let it draw new ones"
        )


def _shared(a: nn.Module, b: nn.Module) -> bool:
    ours = {p.data_ptr() for p in a.parameters() if p.numel()}
    return any(p.data_ptr() in ours for p in b.parameters() if p.numel())


def _equal(a: nn.Module, b: nn.Module) -> bool:
    left, right = model_state(a), model_state(b)
    return all(torch.equal(t.cpu(), right[name].cpu()) for name, t in left.items())
