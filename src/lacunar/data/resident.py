"""All items of a data set, or their labels, as tensors in memory that is reserved once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lacunar.core.errors import BadInput
from lacunar.data.batches import Inputs
from lacunar.data.items import read_item


def gathered(dataset: Any, n: int) -> tuple[Inputs, Tensor]:
    """Inputs ``[n, ...]`` and labels ``[n, ...]`` of the first ``n`` items, each read once.

    Memory is the data itself and one item: a list of items that is stacked afterwards would hold everything twice.

    Raises:
        BadInput: an item that cannot be read, or whose shape is not that of item 0; its number is named.
    """
    x, y = read_item(dataset, 0)
    inputs = {key: _Column(n, part) for key, part in _parts(x).items()}
    labels = _Column(n, y)
    for i in range(n):
        x, y = read_item(dataset, i)
        parts = _parts(x)
        if parts.keys() != inputs.keys() or any(not inputs[k].takes(part) for k, part in parts.items()):
            raise BadInput(f"item {i} of the data set has another shape than item 0: pad it")
        for key, part in parts.items():
            inputs[key].put(i, part)
        _put_label(labels, i, y)
    filled = {key: column.rows for key, column in inputs.items()}
    return (filled if isinstance(x, dict) else filled[""]), labels.rows


def gathered_labels(dataset: Any, n: int) -> Tensor:
    """The labels ``[n, ...]`` of the first ``n`` items, each read once.

    Raises:
        BadInput: as :func:`gathered`.
    """
    labels = _Column(n, read_item(dataset, 0)[1])
    for i in range(n):
        _put_label(labels, i, read_item(dataset, i)[1])
    return labels.rows


def _put_label(labels: _Column, i: int, y: Tensor) -> None:
    if not labels.takes(y):
        raise BadInput(f"the label of item {i} of the data set has another shape than that of item 0: pad it")
    labels.put(i, y)


def _parts(x: Inputs) -> dict[str, Tensor]:
    return x if isinstance(x, dict) else {"": x}


class _Column:
    def __init__(self, n: int, like: Tensor) -> None:
        self.rows = torch.empty((n, *like.shape), dtype=like.dtype, device=like.device)

    def takes(self, row: Tensor) -> bool:
        return row.shape == self.rows.shape[1:]

    def put(self, i: int, row: Tensor) -> None:
        wider = torch.promote_types(self.rows.dtype, row.dtype)
        if wider != self.rows.dtype:
            self.rows = self.rows.to(wider)
        self.rows[i] = row
