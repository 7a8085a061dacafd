"""What a reader should know of a trained model that was given: zeros nobody spoke of, outputs that are no logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lacunar.core import named
from lacunar.core.masks import Mask
from lacunar.data.examples import Source
from lacunar.training.recipe import Recipe

ZEROS = 0.2
"""Share of exact zeros in matrices and kernels above which a model looks pruned; training leaves next to none."""
ROWS, FEWEST = 32, 8


def doubts(model: nn.Module, recipe: Recipe, seen: Source, mask: Mask | None) -> list[str]:
    """Notes on a model that looks pruned but came without a mask, or whose outputs look like probabilities."""
    found = [_zeros(model)] if mask is None else []
    if len(seen) >= FEWEST and recipe.loss in ("cross_entropy", "binary_cross_entropy"):
        few = seen.take(torch.arange(min(ROWS, len(seen)))).to(next(model.parameters()).device)
        found.append(_probabilities(recipe.predict(model, few)))
    return [note for note in found if note]


def _zeros(model: nn.Module) -> str:
    # Biases begin at 0 in many nets, and stay there where nothing moves them.
    parts = [p for p in named.parameters(model).values() if p.ndim >= 2]
    share = sum(int((p == 0).sum()) for p in parts) / max(sum(p.numel() for p in parts), 1)
    if share < ZEROS:
        return ""
    return (
        f"{100 * share:.0f} % of the weights are exactly 0, as in a pruned model, but no mask was given, so a method "
        "may fill them; to keep them at 0 give mask={name: p != 0 for name, p in model.named_parameters()}"
    )


def _probabilities(z: Tensor) -> str:
    if not bool(((z >= 0) & (z <= 1)).all()) or bool((z == z.reshape(-1)[0]).all()):
        return ""
    single = z.ndim == 1 or z.shape[-1] == 1
    if not single and not torch.allclose(z.sum(-1), torch.ones(()), atol=1e-3):
        return ""
    name, rest = ("sigmoid", "in [0, 1]") if single else ("softmax", "in [0, 1] and add up to 1")
    return (
        f"the outputs of the model look like those of a {name} ({rest}), but they are taken as logits: losses and "
        f"margins are off; give the model without its {name}"
    )
