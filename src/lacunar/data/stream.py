"""The face of :class:`~lacunar.data.examples.Examples` over a torch ``Dataset`` that is too big to reside in memory."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from lacunar.core.errors import BadInput
from lacunar.data.batches import Batch, Inputs, move
from lacunar.data.examples import Examples, Source
from lacunar.data.items import collate, read_item
from lacunar.data.keys import Keys, check_known_apart, numbered
from lacunar.data.loader import unwrapped
from lacunar.data.resident import gathered, gathered_labels
from lacunar.data.steady import steady

RESIDENT_BYTES = 4 << 30


@dataclass(frozen=True, eq=False)
class Stream(Source):
    """Examples read item by item from ``dataset`` when a batch needs them; the next batch is read ahead in a thread.

    Attributes:
        dataset: map-style, returning ``(x, y)`` or a dict with a label under one of
            :data:`lacunar.data.items.LABEL_KEYS`.
        at: int64 ``[n]``, the index in ``dataset`` of each example.
        y, ids, names, groups: as in :class:`~lacunar.data.examples.Examples`; labels given here replace those
            of the items.
        device: where batches are put.
    """

    dataset: Dataset[Any] = field(repr=False)
    at: Tensor = field(repr=False)
    y: Tensor = field(repr=False)
    ids: Tensor = field(repr=False)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    names: Keys | None = field(default=None, repr=False)
    groups: Keys | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not len(self.at) == len(self.y) == len(self.ids):
            raise BadInput(f"{len(self.at)} items, {len(self.y)} labels and {len(self.ids)} ids do not fit together")
        check_known_apart(self.ids, self.names, self.groups)

    def __repr__(self) -> str:
        return f"Stream(n={len(self)}, classes={len(self.class_counts())}, dataset={type(self.dataset).__name__})"

    def take(self, positions: Tensor) -> Stream:
        there = positions.cpu()
        names, groups = self._keys_at(there)
        return replace(self, at=self.at[there], y=self.y[there], ids=self.ids[there], names=names, groups=groups)

    def inputs_at(self, positions: Tensor) -> Inputs:
        chosen = [int(i) for i in self.at[positions.cpu()]]
        return move(collate([read_item(self.dataset, i)[0] for i in chosen], chosen), self.device)

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
            *self._keys_with(other),
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


def load(
    dataset: Any, ids: Any = None, *, groups: Any = None, first_id: int = 0, resident_bytes: int = RESIDENT_BYTES
) -> Source:
    """Any data set as a :class:`Source`: resident when it fits in ``resident_bytes``, else streamed.

    Takes :class:`Source` (returned as it is), a pair ``(x, y)`` of arrays or tensors, or a map-style torch ``Dataset``
    whose items are ``(x, y)`` or dicts with a label, also inside a plain ``DataLoader``. Ids are ``ids``, else
    ``dataset.ids``, else positions counted from ``first_id`` (a test set starts where the training ids end); ids that
    are text or UUIDs become names of examples so numbered. ``groups``, else ``dataset.groups``, say whom each example
    belongs to.

    Raises:
        BadInput: an empty data set, items of another form, items that cannot be read, items or labels that change from
            one reading to the next (random augmentation must be left to the recipe), items of different shapes, or a
            ``DataLoader`` that chooses or changes examples.
    """
    dataset = unwrapped(dataset)
    if isinstance(dataset, Source):
        return dataset
    if isinstance(dataset, tuple) and len(dataset) == 2:
        return Examples.of(*dataset, ids, groups, first_id=first_id)
    n = _length(dataset)
    chosen, names = numbered(_own(dataset, "ids") if ids is None else ids, n, first_id)
    owners = _own(dataset, "groups") if groups is None else groups
    belong = None if owners is None else Keys.of(owners)
    probes = steady(dataset, n)
    x, _ = read_item(dataset, 0)
    size = sum(t.numel() * t.element_size() for t in (x.values() if isinstance(x, dict) else [x]))
    if size * n > resident_bytes:
        at, y = torch.arange(n), _labels(dataset, n, probes)
        return Stream(dataset, at, y, chosen, names=names, groups=belong)
    return replace(Examples.of(*gathered(dataset, n), chosen), names=names, groups=belong)


def _own(dataset: Any, name: str) -> Any:
    value = getattr(dataset, name, None)
    return None if callable(value) else value


def _length(dataset: Any) -> int:
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        hint = "give its .dataset" if hasattr(dataset, "dataset") else "wrap an iterable in a list first"
        raise BadInput(
            f"a data set is a pair (x, y) or has __len__ and __getitem__, got {type(dataset).__name__}; {hint}"
        )
    if len(dataset) == 0:
        raise BadInput("the data set is empty")
    return len(dataset)


def _labels(dataset: Any, n: int, probes: dict[int, Tensor]) -> Tensor:
    for name in ("targets", "labels"):
        known = getattr(dataset, name, None)
        # A data set may return other labels than it stores, e.g. through a target transform.
        if known is not None and len(known) == n and all(_is(known[i], label) for i, label in probes.items()):
            return torch.as_tensor(np.asarray(known)).to(torch.int64)
    labels = gathered_labels(dataset, n)
    return labels if labels.is_floating_point() else labels.to(torch.int64)


def _is(known: Any, label: Tensor) -> bool:
    value = np.asarray(known)
    whole = not label.is_floating_point() and label.ndim == 0 and value.ndim == 0 and value.dtype.kind in "biu"
    return whole and int(value) == int(label)
