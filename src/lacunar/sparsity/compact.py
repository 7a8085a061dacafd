"""Taking dead channels out of a net, so that sparsity saves time and memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, LacunarError, NotApplicable, sample_of
from lacunar.core.files import read_json, write_json
from lacunar.core.masks import Mask
from lacunar.core.weights import load_mask, load_model, save_mask, save_model
from lacunar.data.batches import Inputs
from lacunar.sparsity.channels import Channels, channels_of
from lacunar.sparsity.channels.cut import Cut, cut, cuts_of, record_of, sizes_of, sliced
from lacunar.sparsity.fold import folded
from lacunar.training import forward

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
"""The largest difference of outputs that counts as equal, relative to the largest output; 1e-2 in half precision."""


@dataclass(frozen=True, eq=False)
class Compacted:
    """A net without its dead channels.

    Attributes:
        model: the same modules with smaller tensors.
        cuts: what was taken out; layers that are not named are whole.
        mask: live weights of the smaller net; None when all are.
        parameters: trainable parameters before and after.
        multiply_adds: of all convolutions and linear layers for one example, before and after; None without an example.
    """

    model: nn.Module
    cuts: tuple[Cut, ...]
    mask: Mask | None
    parameters: tuple[int, int]
    multiply_adds: tuple[int, int] | None = None

    def record(self) -> dict[str, Any]:
        """All but tensors, as JSON values: with the architecture, enough to build the smaller net again."""
        return {**record_of(self.cuts), "parameters": self.parameters, "multiply_adds": self.multiply_adds}

    def save(self, folder: Path | str) -> Path:
        """Write ``model.safetensors``, ``compact.json`` and, for a net that is still sparse, ``mask.safetensors``."""
        place = Path(folder)
        save_model(place / "model.safetensors", self.model)
        if self.mask is not None:
            save_mask(place / "mask.safetensors", self.mask)
        write_json(place / "compact.json", self.record())
        return place

    @classmethod
    def load(cls, folder: Path | str, build: Callable[[], nn.Module]) -> Compacted:
        """The inverse of :meth:`save`; ``build`` makes the whole net.

        Raises:
            BadInput: files that are missing, damaged, or of another architecture.
        """
        place = Path(folder)
        record = read_json(place / "compact.json")
        cuts, (parameters, work) = cuts_of(record), sizes_of(record)
        model = load_model(place / "model.safetensors", cut(build(), cuts))
        saved = place / "mask.safetensors"
        mask = load_mask(saved) if saved.exists() else None
        return cls(model, cuts, mask, parameters, work)


def compact(
    model: nn.Module, mask: Mapping[str, Tensor], example: Inputs | None = None, *, fold: bool = False
) -> Compacted:
    """Slice out every dead channel: one of which all that makes it (rows, bias, BatchNorm scale and shift) is masked.

    Such a channel is exactly zero wherever it is read, in train and in eval mode, so the outputs stay the same up to
    the order of summation. A filter that is zero in front of a live BatchNorm is not silent but constant: it stays,
    unless ``fold`` moves its constant to where it is read.

    Args:
        model: left as found.
        mask: its live weights, as from the ``channel`` pruner.
        example: prepared inputs; with them the outputs are compared and multiply-adds are counted.
        fold: cut channels that are constant as well, see :func:`lacunar.sparsity.fold.folded`. Outputs are then equal
            in eval mode only: in training the constant would have gone on moving.

    Raises:
        NotApplicable: no channel is dead, a layer has no live one, or the channels cannot be followed.
        BadInput: a mask of another model, weights outside it that are not zero, or ``fold`` without an example.
        LacunarError: the outputs differ, because an operation between the layers does not keep zero at zero.
    """
    weights = named.weights(model)
    named.same_keys(weights, mask)
    if wrong := [name for name, w in weights.items() if bool((w[~mask[name].to(w.device)] != 0).any())]:
        raise BadInput(f"{sample_of(wrong)} are not zero outside the mask: give the pruned model and its own mask")
    groups, whole = channels_of(model, example), model
    kept = {c.name: torch.cat([part.rows(mask[part.name]) for part in c.makers], dim=1).any(1) for c in groups}
    if fold:
        if example is None:
            raise BadInput("fold= reads constants off the net's outputs, and no example is given")
        whole, constant = folded(model, mask, groups, example)
        kept = {name: live & ~constant[name] for name, live in kept.items()}
    if empty := [name for name, live in kept.items() if not bool(live.any())]:
        raise NotApplicable(f"every channel of {sample_of(empty)} is dead, so no net would be left; prune less there")
    cuts = tuple(_cut_of(c, kept[c.name]) for c in groups if not bool(kept[c.name].all()))
    if not cuts:
        raise NotApplicable(
            "no channel is dead, so nothing can be sliced: masks over single weights save no compute; "
            "use the channel pruner"
        )
    smaller = cut(whole, cuts)
    work = None
    if example is not None:
        _check_equal(model, smaller, example)
        work = _multiply_adds(model, example), _multiply_adds(smaller, example)
    left = sliced(mask, cuts)
    sizes = named.count(weights), named.count(left)
    return Compacted(smaller, cuts, None if masks.density(left) == 1 else left, sizes, work)


def _cut_of(channels: Channels, live: Tensor) -> Cut:
    kept = tuple(live.nonzero().reshape(-1).tolist())
    return Cut(channels.name, channels.size, kept, (*channels.makers, *channels.buffers, *channels.readers))


@torch.no_grad()
def _check_equal(model: nn.Module, smaller: nn.Module, example: Inputs) -> None:
    with forward.eval_mode(model), forward.eval_mode(smaller):
        before, after = forward.logits(model, example), forward.logits(smaller, example)
    scale = max(float(before.abs().max()), 1e-30)
    gap = float((before - after).abs().max()) / scale
    if not gap <= TOLERANCE.get(before.dtype, 1e-2):
        raise LacunarError(
            f"the outputs of the compacted net differ by {gap:.2g} of the largest one, so it is not returned: some "
            "operation between its layers does not keep zero at zero"
        )


@torch.no_grad()
def _multiply_adds(model: nn.Module, example: Inputs) -> int:
    # torch.utils.flop_counter counts the same, but takes seconds to import.
    total = 0

    def count(module: nn.Module, args: Any, output: Tensor) -> None:
        nonlocal total
        weight: Tensor = module.weight  # type: ignore[assignment]
        total += output.numel() * weight[0].numel()

    layers = [m for m in model.modules() if isinstance(m, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with forward.eval_mode(model):
            forward.logits(model, example)
    finally:
        for hook in hooks:
            hook.remove()
    return total // len(next(iter(example.values())) if isinstance(example, dict) else example)
