"""The losses of a descent: kept on the device, read together now and then, averaged over epochs."""

from __future__ import annotations

import functools
import math
import operator
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from lacunar.core.errors import BadInput, Diverged

Terms: TypeAlias = Tensor | Mapping[str, Tensor]
"""A scalar, or several by name, whose sum is meant."""

Loss: TypeAlias = Callable[[nn.Module, Any], Terms]
"""``(model, batch) -> scalar`` or named terms; the batch is a :class:`~lacunar.data.batches.Batch`, or a
:class:`~lacunar.data.batches.NamedBatches` where there are several streams, inputs prepared."""

READ_STEPS, READ_SECONDS = 50, 1.0
ROOM = 1024
WHOLE = ""


def total(terms: Terms) -> Tensor:
    """The sum of the terms of a loss.

    Raises:
        BadInput: there is none.
    """
    if isinstance(terms, Tensor):
        return terms
    if not terms:
        raise BadInput("the loss returned no terms; return a scalar tensor, or a dict of them by name")
    return functools.reduce(operator.add, terms.values())


class Losses:
    """The losses of the steps of one descent.

    They are written into one buffer on the device, whatever the number of steps: small tensors that outlive their step
    keep the memory of the large ones around them, and arithmetic on each costs a small net's step several percent.

    Args:
        steps: of the whole descent, named when a loss is not finite.
        lr: named as well.
    """

    def __init__(self, device: torch.device, steps: int, lr: float) -> None:
        self.buffer = torch.empty(ROOM, dtype=torch.float64, device=device)
        self.slots = torch.split(self.buffer, 1)
        self.unread: list[tuple[int, int, str]] = []
        self.steps, self.lr = steps, lr
        self.read_at, self.read_step = time.monotonic(), 0
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    @property
    def counted(self) -> int:
        """The examples of the steps since the epoch began."""
        return self.counts.get(WHOLE, 0)

    def add(self, step: int, terms: Terms, whole: Tensor, seen: int) -> bool:
        """Take the loss of a step on ``seen`` examples; returns whether losses were read."""
        parts = {} if isinstance(terms, Tensor) else terms
        due = step - self.read_step >= READ_STEPS and time.monotonic() - self.read_at >= READ_SECONDS
        if full := len(self.unread) + 1 + len(parts) > ROOM:
            self.read(step)
        for name, value in ((WHOLE, whole), *parts.items()):
            self.slots[len(self.unread)].copy_(value.detach())
            self.unread.append((step, seen, name))
            self.counts[name] = self.counts.get(name, 0) + seen
        if due:
            self.read(step)
        return due or full

    def read(self, step: int) -> None:
        """Read what the device has computed so far.

        Raises:
            Diverged: a loss that is not finite.
        """
        self.read_at, self.read_step = time.monotonic(), step
        values = self.buffer[: len(self.unread)].tolist() if self.unread else []
        for (at, seen, name), value in zip(self.unread, values, strict=True):
            if not math.isfinite(value):
                raise Diverged(
                    f"the loss is not finite from step {at + 1} of {self.steps} on; "
                    f"lower the learning rate (lr={self.lr:g}) or set clip"
                )
            self.sums[name] = self.sums.get(name, 0.0) + value * seen
        self.unread.clear()

    def mean(self) -> float | None:
        """The mean loss per example of the steps that were read since the epoch began; None before the first."""
        return self.sums[WHOLE] / self.counts[WHOLE] if WHOLE in self.sums else None

    def end_epoch(self) -> dict[str, float]:
        """The mean of each named term over the examples that it was computed on, as columns of a history row."""
        means = {f"loss/{name}": value / self.counts[name] for name, value in self.sums.items() if name != WHOLE}
        self.sums, self.counts = {}, {}
        return means

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep, as JSON values; all losses have been read."""
        return {"sums": self.sums, "counts": self.counts}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        self.sums, self.counts = dict(state["sums"]), dict(state["counts"])
