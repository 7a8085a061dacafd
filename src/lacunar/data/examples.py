"""Examples that live on the device and are known by integer ids; batches are index selections."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from lacunar.core.errors import BadInput, sample_of
from lacunar.core.rng import generator_of
from lacunar.data.batches import Batch, Inputs, move, rows
from lacunar.data.finite import not_finite_rows
from lacunar.data.ids import Ids, as_ids
from lacunar.data.keys import Keys, check_known_apart, is_text, numbered


def from_array(array: np.ndarray[Any, Any]) -> Tensor:
    """A NumPy array as a tensor; float64, which NumPy makes by default and models rarely take, becomes float32."""
    return torch.as_tensor(array.astype(np.float32) if array.dtype == np.float64 else array)


def epoch_ends(per_epoch: int, epochs: int) -> list[int]:
    """How many steps have been made at the end of each epoch, when all epochs are alike."""
    return [per_epoch * (epoch + 1) for epoch in range(epochs)]


class Source(ABC):
    """The face that resident :class:`Examples` and the on-demand :class:`~lacunar.data.stream.Stream` share."""

    y: Tensor
    ids: Tensor
    names: Keys | None
    groups: Keys | None

    @abstractmethod
    def take(self, positions: Tensor) -> Self:
        """The examples at these positions, in this order."""

    @abstractmethod
    def inputs_at(self, positions: Tensor) -> Inputs:
        """The inputs at these positions, on the device."""

    @abstractmethod
    def labelled(self, y: Tensor) -> Self:
        """The same examples with other labels."""

    @property
    @abstractmethod
    def on(self) -> torch.device:
        """The device that batches are on."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Self:
        """The same examples on another device."""

    @abstractmethod
    def __add__(self, other: Self) -> Self:
        """These examples followed by others of the same kind."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _sorted(self) -> tuple[Tensor, Tensor]:
        values, order = torch.sort(self.ids.cpu())
        return values, order

    def has(self, ids: Ids) -> Tensor:
        """Which of ``ids`` are among these examples: bool, one per id."""
        wanted = as_ids(ids)
        values, _ = self._sorted
        if len(values) == 0:
            return torch.zeros(len(wanted), dtype=torch.bool)
        place = torch.searchsorted(values, wanted).clamp(max=len(values) - 1)
        return values[place] == wanted

    def positions(self, ids: Ids) -> Tensor:
        """Where each of ``ids`` stands, in the order given.

        Raises:
            BadInput: ids that are not among these examples; the first ten and their number are named.
        """
        wanted = as_ids(ids)
        present = self.has(wanted)
        if not bool(present.all()):
            missing = wanted[~present]
            raise BadInput(
                f"{len(missing)} of {len(wanted)} ids are not in the data (which holds {len(self)} examples): "
                f"{sample_of(missing.tolist())}; give ids of training examples"
            )
        values, order = self._sorted
        return order[torch.searchsorted(values, wanted)] if len(wanted) else wanted

    def ids_of(self, wanted: Any) -> Tensor:
        """The ids of examples that are known by ids or, where the data set has text for ids, by their names.

        Raises:
            BadInput: names that no example has, or text for a data set whose ids are whole numbers.
        """
        if not is_text(wanted):
            return as_ids(wanted)
        if self.names is None:
            raise BadInput(
                f"the ids of these data are whole numbers, got {sample_of(map(repr, wanted), 3)}; give the data set "
                "such names as its ids"
            )
        return self.ids.cpu()[self.names.positions(wanted, "names")]

    def members(self, groups: Any) -> Tensor:
        """The ids of all examples that belong to one of ``groups``: all rows of these people.

        Raises:
            BadInput: a data set without groups, or groups that it does not have.
        """
        if self.groups is None:
            raise BadInput("the examples belong to no groups; give the data set groups, one key per example")
        return self.ids.cpu()[self.groups.positions(dict.fromkeys(Keys.of(groups).values.tolist()), "groups")]

    def where(self, ids: Ids) -> Self:
        """The examples with these ids, in the order given."""
        return self.take(self.positions(ids))

    def without(self, ids: Ids) -> Self:
        """All examples but those with these ids, in stored order; unknown ids are an error."""
        left = torch.ones(len(self), dtype=torch.bool)
        left[self.positions(ids)] = False
        return self.take(left.nonzero().reshape(-1))

    def class_counts(self) -> dict[int, int]:
        """How many examples each label has; empty for labels that are not classes."""
        if self.y.is_floating_point() or self.y.ndim != 1:
            return {}
        labels, counts = torch.unique(self.y, return_counts=True)
        return {int(label): int(n) for label, n in zip(labels, counts, strict=True)}

    def steps(self, size: int) -> int:
        """Batches in one pass, the last partial one included, but for a single example, which joins the one before."""
        whole, rest = divmod(len(self), size)
        return whole if whole and rest == 1 else whole + (rest > 0)

    def epoch_ends(self, size: int, epochs: int) -> list[int]:
        """How many steps have been made at the end of each epoch."""
        return epoch_ends(self.steps(size), epochs)

    def batches(
        self,
        size: int,
        epochs: int = 1,
        seed: int | None = None,
        start: int = 0,
        left_out: Tensor | None = None,
    ) -> Iterator[Batch]:
        """Every example once per epoch, in batches of ``size``; the last one may be smaller.

        A last batch of one example joins its predecessor: BatchNorm cannot normalise it, and its gradient would weigh
        as much as that of a whole batch.

        ``seed`` orders each epoch by its own stream; None keeps the stored order. ``start`` is the first step to
        yield, so that an interrupted loop can go on. Ids in ``left_out`` are dropped from their batches and all others
        keep their place (coupled retraining); a batch that loses all its members is not yielded.
        """
        if size < 1:
            raise BadInput(f"a batch holds at least one example, got size {size}")
        per_epoch = self.steps(size)
        total = per_epoch * epochs
        at = self.y.device
        absent = None if left_out is None else torch.isin(self.ids.cpu(), left_out.cpu()).to(at)
        for epoch in range(start // max(per_epoch, 1), epochs):
            # One copy per epoch: a copy per step would make the host wait for the device.
            order = self._order(seed, epoch).to(at)
            first = max(start - epoch * per_epoch, 0)
            for index in range(first, per_epoch):
                chosen = order[index * size : (index + 1) * size if index + 1 < per_epoch else None]
                if absent is not None:
                    chosen = chosen[~absent[chosen]]
                    if len(chosen) == 0:
                        continue
                step = epoch * per_epoch + index
                yield self._batch(chosen, step / total, epoch, step)

    def _keys_at(self, positions: Tensor) -> tuple[Keys | None, Keys | None]:
        names, groups = (None if keys is None else keys.take(positions) for keys in (self.names, self.groups))
        return names, groups

    def _keys_with(self, other: Source) -> tuple[Keys | None, Keys | None]:
        # A name for some rows alone would be found or not depending on where a row came from.
        pairs = ((self.names, other.names), (self.groups, other.groups))
        names, groups = (None if a is None or b is None else a + b for a, b in pairs)
        return names, groups

    def _order(self, seed: int | None, epoch: int) -> Tensor:
        if seed is None:
            return torch.arange(len(self))
        return torch.randperm(len(self), generator=generator_of(seed, "order", epoch))

    def _batch(self, chosen: Tensor, progress: float, epoch: int, step: int) -> Batch:
        return Batch(self.inputs_at(chosen), self.y[chosen], self.ids[chosen], progress, epoch, step)

    def digest(self) -> str:
        """A hash of the ids and labels; resident examples add their inputs."""
        total = hashlib.sha256(self.ids.cpu().numpy().tobytes())
        total.update(self.y.detach().cpu().contiguous().numpy().tobytes())
        return total.hexdigest()


@dataclass(frozen=True, eq=False)
class Examples(Source):
    """Inputs, labels and ids as tensors on one device; images may stay uint8.

    Attributes:
        x: inputs ``[n, ...]``, or a dict of such tensors.
        y: labels ``[n]``: int64 classes, or floats for regression and binary targets.
        ids: int64 ``[n]``, unique; an example keeps its id for ever.
        names: what the examples are called where their owner's ids are text, unique; None where ids are numbers.
        groups: whom each example belongs to, e.g. a person; None where that is not known.

    Raises:
        BadInput: lengths that differ, or ids or names that repeat.
    """

    x: Inputs = field(repr=False)
    y: Tensor = field(repr=False)
    ids: Tensor = field(repr=False)
    names: Keys | None = field(default=None, repr=False)
    groups: Keys | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        sizes = {len(t) for t in (self.x.values() if isinstance(self.x, dict) else [self.x])}
        if sizes != {len(self.y)} or len(self.ids) != len(self.y):
            raise BadInput(f"inputs, labels and ids differ in number: {sorted(sizes)}, {len(self.y)}, {len(self.ids)}")
        check_known_apart(self.ids, self.names, self.groups)

    def __repr__(self) -> str:
        x = {k: tuple(v.shape[1:]) for k, v in self.x.items()} if isinstance(self.x, dict) else tuple(self.x.shape[1:])
        return f"Examples(n={len(self)}, x={x}, classes={len(self.class_counts())})"

    @classmethod
    def of(cls, x: Any, y: Any, ids: Any = None, groups: Any = None, *, first_id: int = 0) -> Examples:
        """Examples from arrays or tensors (or a dict of them).

        Ids default to positions counted from ``first_id``; ids that are text or UUIDs become the names of examples so
        numbered. ``groups`` are one key per example.

        Raises:
            BadInput: values that are not numbers, NaN or infinite inputs, lengths that differ.
        """
        inputs: Inputs = {k: _tensor(v) for k, v in x.items()} if isinstance(x, Mapping) else _tensor(x)
        labels = _tensor(y)
        if not labels.is_floating_point():
            labels = labels.to(torch.int64)
        for name, part in inputs.items() if isinstance(inputs, dict) else [("x", inputs)]:
            if bad := not_finite_rows(part):
                raise BadInput(f"{name} holds NaN or infinity at positions {sample_of(bad)}; clean the data")
        chosen, names = numbered(ids, len(labels), first_id)
        return cls(inputs, labels, chosen.to(labels.device), names, None if groups is None else Keys.of(groups))

    def take(self, positions: Tensor) -> Examples:
        there = positions.to(self.y.device)
        return Examples(rows(self.x, there), self.y[there], self.ids[there], *self._keys_at(there))

    def inputs_at(self, positions: Tensor) -> Inputs:
        return rows(self.x, positions)

    def labelled(self, y: Tensor) -> Examples:
        if y.shape[0] != len(self):
            raise BadInput(f"{len(y)} labels for {len(self)} examples")
        return replace(self, y=y.to(self.y.device))

    @property
    def on(self) -> torch.device:
        return self.y.device

    def to(self, device: torch.device | str) -> Examples:
        return replace(self, x=move(self.x, device), y=self.y.to(device), ids=self.ids.to(device))

    def __add__(self, other: Examples) -> Examples:
        if isinstance(self.x, dict) != isinstance(other.x, dict):
            raise BadInput("cannot join examples whose inputs are a tensor with examples whose inputs are a dict")
        x: Inputs
        if isinstance(self.x, dict) and isinstance(other.x, dict):
            x = {key: torch.cat([self.x[key], other.x[key]]) for key in self.x}
        else:
            assert isinstance(self.x, Tensor) and isinstance(other.x, Tensor)
            x = torch.cat([self.x, other.x])
        labels, ids = torch.cat([self.y, other.y]), torch.cat([self.ids, other.ids])
        return Examples(x, labels, ids, *self._keys_with(other))

    @cached_property
    def _digest(self) -> str:
        total = hashlib.sha256(super().digest().encode())
        for key, part in sorted(self.x.items()) if isinstance(self.x, dict) else [("x", self.x)]:
            total.update(f"{key}|{tuple(part.shape)}|{part.dtype}|".encode())
            total.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return total.hexdigest()

    def digest(self) -> str:
        return self._digest


def _tensor(value: Any) -> Tensor:
    try:
        return value.detach() if isinstance(value, Tensor) else from_array(np.asarray(value))
    except TypeError as error:
        raise BadInput(f"inputs and labels must be numbers, got {type(value).__name__} ({error})") from error
