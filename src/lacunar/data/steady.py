"""Whether a data set returns the same each time it is read."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lacunar.core.errors import BadInput
from lacunar.core.rng import isolated
from lacunar.data.items import identical, read_item

PROBES = 30


def steady(dataset: Any, n: int) -> dict[int, Tensor]:
    """The labels, by number, of about ``PROBES`` items spread over the ``n``, each read twice under other global seeds.

    An augmentation that changes an item with probability q escapes with probability (1 - 2 q (1 - q))^30: 3e-3 at
    q = 0.1, 1e-9 at a half.

    Raises:
        BadInput: an item whose input or label differs between the readings; its number is named.
    """
    probes = sorted({k * (n - 1) // (PROBES - 1) for k in range(PROBES)})
    return {i: _steady_label(dataset, i) for i in probes}


def _steady_label(dataset: Any, i: int) -> Tensor:
    # Seeds of its own for each item: with one pair for all, the same two draws would decide about every item.
    with isolated(0, "reading", i):
        x, y = read_item(dataset, i)
    with isolated(1, "reading", i):
        again, label = read_item(dataset, i)
    if not identical(x, again):
        raise BadInput(
            f"item {i} of the data set differs between two readings; turn random augmentation off there and name it in "
            "the recipe (augment=...)"
        )
    if not identical(y, label):
        raise BadInput(
            f"the label of item {i} of the data set differs between two readings ({_shown(y)}, then {_shown(label)}); "
            "draw random labels once, and keep them"
        )
    return y


def _shown(label: Tensor) -> str:
    return str(label.item()) if label.numel() == 1 else f"a tensor {list(label.shape)}"
