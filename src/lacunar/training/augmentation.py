"""Batched augmentation of images, keyed by (seed, epoch, id): batch size, order and device change no draw."""

from __future__ import annotations

import torch
from torch import Tensor

from lacunar.core.rng import keyed_integers

AUGMENTATIONS = ("none", "flip", "crop", "crop_flip")
PADDING = 4


def augment(kind: str, x: Tensor, ids: Tensor, seed: int, epoch: int) -> Tensor:
    """Random shifts by up to 4 pixels over a zero border ("crop") and mirror images ("flip").

    One gather makes both; ``x [n, channels, height, width]`` keeps its dtype. Shifts of either axis are uniform on
    -4, ..., 4, a mirror image has probability 1/2.
    """
    if kind == "none":
        return x
    n, channels, height, width = x.shape
    draws = keyed_integers(seed, epoch, ids, 3)
    rows = torch.arange(height, device=x.device).expand(n, height)
    columns = torch.arange(width, device=x.device).expand(n, width)
    if kind in ("flip", "crop_flip"):
        mirrored = (draws[:, 0] % 2 == 1)[:, None]
        columns = torch.where(mirrored, width - 1 - columns, columns)
    if kind == "flip":
        return x.gather(3, columns[:, None, None, :].expand(n, channels, height, width))
    span = 2 * PADDING + 1
    rows = rows + (draws[:, 1] % span - PADDING)[:, None]
    columns = columns + (draws[:, 2] % span - PADDING)[:, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    place = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    moved = x.reshape(n, channels, -1).gather(2, place.reshape(n, 1, -1).expand(n, channels, height * width))
    return moved.reshape(x.shape).masked_fill_(~inside[:, None], 0)
