"""The face of :class:`~lacunar.data.examples.Examples` over a torch ``Dataset`` that is too big to reside in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from lacunar.core.errors import BadInput
from lacunar.data.batches import Batch, Inputs, move
from lacunar.data.examples import Examples, Source, from_array
from lacunar.data.ids import Ids, as_ids

LABEL_KEYS = ("labels", "label", "y")
RESIDENT_BYTES = 4 << 30


@dataclass(frozen=True, eq=False)
class Stream(Source):
    """Examples read item by item from ``dataset`` when a batch needs them; the next batch is read ahead in a thread.

    Attributes:
        dataset: map-style, returning ``(x, y)`` or a dict with a label under one of ``LABEL_KEYS``.
        at: int64 ``[n]``, the index in ``dataset`` of each example.
        y, ids: as in :class:`~lacunar.data.examples.Examples`; labels given here replace those of the items.
        device: where batches are put.
    """

    dataset: Dataset[Any] = field(repr=False)
    at: Tensor = field(repr=False)
    y: Tensor = field(repr=False)
    ids: Tensor = field(repr=False)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        if not len(self.at) == len(self.y) == len(self.ids):
            raise BadInput(f"{len(self.at)} items, {len(self.y)} labels and {len(self.ids)} ids do not fit together")
        if len(torch.unique(self.ids)) != len(self.ids):
            raise BadInput("ids repeat; give each example its own id")

    def __repr__(self) -> str:
        return f"Stream(n={len(self)}, classes={len(self.class_counts())}, dataset={type(self.dataset).__name__})"

    def take(self, positions: Tensor) -> Stream:
        there = positions.cpu()
        return replace(self, at=self.at[there], y=self.y[there], ids=self.ids[there])

    def inputs_at(self, positions: Tensor) -> Inputs:
        chosen = [int(i) for i in self.at[positions.cpu()]]
        return move(collate([split_item(self.dataset[i])[0] for i in chosen], chosen), self.device)

    def labelled(self, y: Tensor) -> Stream:
        return replace(self, y=y.cpu())

    @property
    def on(self) -> torch.device:
        return self.device

    def to(self, device: torch.device | str) -> Stream:
        return replace(self, device=torch.device(device))

    def __add__(self, other: Stream) -> Stream:
        joined: ConcatDataset[Any] = ConcatDataset([self.dataset, other.dataset])
        shift = len(cast(Any, self.dataset))
        return Stream(
            joined,
            torch.cat([self.at, other.at + shift]),
            torch.cat([self.y, other.y]),
            torch.cat([self.ids, other.ids]),
            self.device,
        )

    def batches(
        self,
        size: int,
        epochs: int = 1,
        seed: int | None = None,
        start: int = 0,
        left_out: Tensor | None = None,
    ) -> Iterator[Batch]:
        """As :meth:`Source.batches`; while one batch is used, the next one is read."""
        source = super().batches(size, epochs, seed, start, left_out)
        with ThreadPoolExecutor(max_workers=1) as reader:
            ahead: Future[Batch | None] = reader.submit(next, source, None)
            while (batch := ahead.result()) is not None:
                ahead = reader.submit(next, source, None)
                yield batch

    def _batch(self, chosen: Tensor, progress: float, epoch: int, step: int) -> Batch:
        x = self.inputs_at(chosen)
        return Batch(x, self.y[chosen].to(self.device), self.ids[chosen].to(self.device), progress, epoch, step)


def load(dataset: Any, ids: Ids | None = None, *, first_id: int = 0, resident_bytes: int = RESIDENT_BYTES) -> Source:
    """Any data set as a :class:`Source`: resident when it fits in ``resident_bytes``, else streamed.

    Takes :class:`Source` (returned as it is), a pair ``(x, y)`` of arrays or tensors, or a map-style torch ``Dataset``
    whose items are ``(x, y)`` or dicts with a label. Ids are ``ids``, else ``dataset.ids``, else positions counted from
    ``first_id`` (a test set starts where the training ids end).

    Raises:
        BadInput: an empty data set, items of another form, items that change from one reading to the next (random
            augmentation must be left to the recipe), or items of different shapes.
    """
    if isinstance(dataset, Source):
        return dataset
    if isinstance(dataset, tuple) and len(dataset) == 2:
        return Examples.of(*dataset, ids=torch.arange(len(dataset[1])) + first_id if ids is None else ids)
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise BadInput(
            f"a data set is a pair (x, y) or has __len__ and __getitem__, got {type(dataset).__name__}; "
            "wrap an iterable in a list first"
        )
    n = len(dataset)
    if n == 0:
        raise BadInput("the data set is empty")
    own = getattr(dataset, "ids", None) if ids is None else ids
    chosen = torch.arange(n) + first_id if own is None else as_ids(own)
    first = split_item(dataset[0])[0]
    if not _same(first, split_item(dataset[0])[0]):
        raise BadInput(
            "item 0 of the data set differs between two readings; turn random augmentation off there and "
            "name it in the recipe (augment=...)"
        )
    size = sum(t.numel() * t.element_size() for t in (first.values() if isinstance(first, dict) else [first]))
    if size * n > resident_bytes:
        return Stream(dataset, torch.arange(n), _labels(dataset, n), chosen)
    items = [split_item(dataset[i]) for i in range(n)]
    labels = torch.as_tensor(np.asarray([np.asarray(y) for _, y in items]))
    return Examples.of(collate([x for x, _ in items], range(n)), labels, chosen)


def split_item(item: Any) -> tuple[Inputs, Any]:
    """An item as ``(x, y)``, tensors inside; PIL images become uint8 ``[channels, height, width]``.

    A tuple of inputs becomes a dict with keys "0", "1", ..., which the forward pass hands over by position.
    """
    if isinstance(item, Mapping):
        key = next((k for k in LABEL_KEYS if k in item), None)
        if key is None:
            raise BadInput(f"items are dicts with keys {list(item)}, but no label under {' / '.join(LABEL_KEYS)}")
        return {k: _one(v) for k, v in item.items() if k != key and k != "id"}, item[key]
    if isinstance(item, Sequence) and len(item) == 2:
        x, y = item
        if isinstance(x, tuple):
            x = {str(i): part for i, part in enumerate(x)}
        return ({k: _one(v) for k, v in x.items()} if isinstance(x, Mapping) else _one(x)), y
    raise BadInput(f"items must be (x, y) or a dict with a label, got {type(item).__name__}")


def collate(items: Sequence[Inputs], positions: Sequence[int]) -> Inputs:
    """Inputs of single examples as one batch."""
    first = items[0]
    try:
        if isinstance(first, dict):
            return {key: torch.stack([cast(dict[str, Tensor], x)[key] for x in items]) for key in first}
        return torch.stack([cast(Tensor, x) for x in items])
    except (RuntimeError, KeyError) as error:
        odd = next((p for p, x in zip(positions, items, strict=True) if not _alike(first, x)), positions[0])
        raise BadInput(f"item {odd} of the data set has another shape than item {positions[0]}: pad it") from error


def _one(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    array = np.asarray(value)
    if hasattr(value, "getbands"):
        array = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    if array.dtype.kind not in "biuf":
        raise BadInput(f"inputs must be numbers, got {type(value).__name__}; tokenise or encode them first")
    return from_array(np.array(array))


def _alike(a: Inputs, b: Inputs) -> bool:
    if isinstance(a, dict) or isinstance(b, dict):
        return isinstance(a, dict) and isinstance(b, dict) and all(k in b and a[k].shape == b[k].shape for k in a)
    return a.shape == b.shape


def _same(a: Inputs, b: Inputs) -> bool:
    if not _alike(a, b):
        return False
    if isinstance(a, dict) and isinstance(b, dict):
        return all(torch.equal(a[k], b[k]) for k in a)
    return torch.equal(cast(Tensor, a), cast(Tensor, b))


def _labels(dataset: Any, n: int) -> Tensor:
    for name in ("targets", "labels"):
        known = getattr(dataset, name, None)
        # A data set may return other labels than it stores, e.g. through a target transform.
        if (
            known is not None
            and len(known) == n
            and all(int(known[i]) == _class(dataset, i) for i in (0, n // 2, n - 1))
        ):
            return torch.as_tensor(np.asarray(known))
    return torch.as_tensor(np.asarray([np.asarray(split_item(dataset[i])[1]) for i in range(n)]))


def _class(dataset: Any, i: int) -> int | None:
    label = np.asarray(split_item(dataset[i])[1])
    return int(label) if label.ndim == 0 and label.dtype.kind in "biu" else None
