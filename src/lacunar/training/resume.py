"""Going on with an interrupted descent: what a checkpoint keeps of it, and whose checkpoint it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import torch
from torch import nn
from torch.optim import Optimizer

from lacunar.core import named
from lacunar.data.batches import Batches
from lacunar.training.accounting import Losses
from lacunar.training.callbacks import Callback, Loop
from lacunar.training.checkpoint import Checkpoints, pack, unpack
from lacunar.training.limits import Limits
from lacunar.training.log import Log
from lacunar.training.settings import Descent


def identity(model: nn.Module, source: Batches, how: Descent, seed: int, limits: Limits, log: Log) -> str:
    """What a descent starts from and how it goes on, as a hex string; checkpoints of another one are refused."""
    settings = {f.name: str(getattr(how, f.name)) for f in fields(how) if f.name != "schedule"}
    rates = [how.rate(i / 16) for i in range(16)]
    masks = [named.digest(m) if m is not None else "" for m in (limits.mask, limits.where)]
    parts = [log.identity, settings, rates, masks, seed, source.digest(), named.digest(model.state_dict())]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@dataclass
class Resumable:
    """A running descent as far as a checkpoint must know it.

    Attributes:
        index: its number in the job.
        identity: see :func:`identity`.
        made: how many steps have been made.
        notes: what a reader of the result should know of the interruptions.
    """

    model: nn.Module
    optimizer: Optimizer
    loop: Loop
    losses: Losses
    callbacks: Sequence[Callback]
    log: Log
    index: int
    identity: str
    made: int = 0
    notes: list[str] = field(default_factory=list)

    def save(self, checkpoints: Checkpoints, done: bool = False) -> None:
        """Write a checkpoint."""
        self.losses.read(self.loop.step)
        tensors = pack(self.model, self.optimizer)
        tensors |= {f"mask/{n}": t for n, t in (self.loop.mask or {}).items()}
        for i, callback in enumerate(self.callbacks):
            tensors |= {f"callback/{i}/{name}": t for name, t in callback.state().items()}
        meta = {
            "identity": self.identity,
            "threads": torch.get_num_threads(),
            "step": self.made,
            "done": done,
            "losses": self.losses.state(),
            "examples": self.loop.examples,
            "history": [row for row in self.log.history if row["descent"] == self.index],
            "notes": [*self.notes, *([self.loop.stopped] if self.loop.stopped else [])],
        }
        checkpoints.save(self.index, tensors, meta)

    def resume(self, checkpoints: Checkpoints) -> bool:
        """Go back to the last checkpoint if there is one; returns whether the descent had ended there.

        Raises:
            BadInput: the checkpoint belongs to another job.
        """
        found = checkpoints.load(self.index, self.identity)
        if found is None:
            return False
        tensors, meta = found
        unpack(tensors, self.model, self.optimizer)
        device = next(self.model.parameters()).device
        if mask := {n.removeprefix("mask/"): t.to(device) for n, t in tensors.items() if n.startswith("mask/")}:
            self.loop.mask = mask
        for i, callback in enumerate(self.callbacks):
            start = f"callback/{i}/"
            callback.restore({n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)})
        self.losses.restore(meta["losses"])
        self.made, self.loop.examples = meta["step"], meta["examples"]
        self.log.history += meta["history"]
        self.notes = [*meta["notes"], *([] if meta["done"] else _other_threads(meta["threads"]))]
        self.log.notes += self.notes
        return bool(meta["done"])


def _other_threads(before: int) -> list[str]:
    # Threads share out sums, so that their number changes the last bits; the work done so far is worth more than those.
    if before == (now := torch.get_num_threads()):
        return []
    return [
        f"the training was interrupted and went on with {now} threads instead of {before}: its weights are not "
        f"bit-equal to those of a training in one go; set OMP_NUM_THREADS={before} for that"
    ]
