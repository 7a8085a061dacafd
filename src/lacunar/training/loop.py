"""The training loop: the only one, for the first training, for retraining and for every method."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from lacunar.core import named
from lacunar.core.errors import Diverged
from lacunar.core.rng import isolated, seed_of
from lacunar.data.batches import Batches
from lacunar.machine.precision import resolve_precision
from lacunar.training.accounting import Loss, Losses, total
from lacunar.training.callbacks import Callback, Loop
from lacunar.training.limits import Limits
from lacunar.training.log import Log
from lacunar.training.modes import BatchStatistics, training
from lacunar.training.optimizer import optimizer_of
from lacunar.training.resume import Resumable, identity
from lacunar.training.settings import Descent
from lacunar.training.turns import TurnBatch
from lacunar.training.watch import Watch


def descend(
    model: nn.Module,
    source: Batches,
    loss: Loss,
    how: Descent,
    *,
    seed: int,
    inputs: Callable[[Any], Any] = lambda batch: batch,
    limits: Limits | None = None,
    callbacks: Sequence[Callback] = (),
    watch: Watch | None = None,
    log: Log | None = None,
) -> nn.Module:
    """Minimise ``loss`` over ``source``, in place.

    The order of the examples comes from the stream (seed, "order"), dropout from (seed, "noise"). Nothing is read back
    from the device inside the loop but the mean loss, at most every 50 steps and 1 second, or every 1,024 losses. While
    a batch holds one example, BatchNorm uses its running statistics. With ``watch.checkpoints`` an interrupted call
    that is repeated goes on from the last checkpoint and ends, on a CPU, with the same weights as an uninterrupted one.

    Args:
        model: trained in place and returned; each module's train/eval mode is as found afterwards.
        source: :class:`~lacunar.data.examples.Source`, :func:`~lacunar.data.pairing.pair` or
            :func:`~lacunar.training.turns.turns`.
        loss: the objective on one prepared batch; of several named terms the sum is minimised, and each has a column
            ``loss/<name>`` in the history.
        how: optimiser, schedule, precision.
        seed: of the order and of dropout.
        inputs: prepares a batch (casting, normalisation, augmentation).
        limits: masks, gradient factors, gradient transform.
        callbacks: observers of this descent, before those of ``watch``.
        log: what is added to; None for a log of this descent alone.

    Raises:
        BadInput: masks that do not belong to the model, or nothing that could move.
        Diverged: the loss stopped being finite; the step is named.
    """
    watch, log, limits = watch or Watch(), log or Log(), limits or Limits()
    index, log.descents = log.descents, log.descents + 1
    with isolated(seed, "noise", index), training(model, how), torch.enable_grad():
        job = _Job(model, source, loss, how, seed, inputs, limits, [*callbacks, *watch.callbacks], watch, log, index)
        try:
            job.run_all()
        except BaseException:
            for callback in job.callbacks:
                callback.on_abort(job.loop)
            raise
    return model


class _Job:
    def __init__(
        self,
        model: nn.Module,
        source: Batches,
        loss: Loss,
        how: Descent,
        seed: int,
        inputs: Callable[[Any], Any],
        limits: Limits,
        callbacks: Sequence[Callback],
        watch: Watch,
        log: Log,
        index: int,
    ) -> None:
        self.model, self.source, self.loss, self.how, self.inputs = model, source, loss, how, inputs
        self.callbacks, self.checkpoints, self.log, self.index = callbacks, watch.checkpoints, log, index
        self.order = order_seed(seed, index)
        self.limits = limits.on(model)
        self.device = next(iter(self.limits.live.values())).device
        self.bfloat16 = resolve_precision(how.precision, model, self.device) == "bfloat16"
        self.statistics = BatchStatistics(model)
        self.optimizer = optimizer_of(how, list(self.limits.moving.values()))
        self.ends = source.epoch_ends(how.batch_size, how.epochs)
        self.loop = Loop(model, self.ends[-1], how.epochs, mask=limits.mask)
        self.losses = Losses(self.device, self.loop.steps, how.lr)
        whose = "" if watch.checkpoints is None else identity(model, source, how, seed, limits, log)
        self.state = Resumable(model, self.optimizer, self.loop, self.losses, callbacks, log, index, whose)

    def run_all(self) -> None:
        ended = self.checkpoints is not None and self.state.resume(self.checkpoints)
        if not ended:
            self._train(self.state.made)
        self.log.steps += self.state.made
        self.log.examples_seen += self.loop.examples

    def _train(self, start: int) -> None:
        self.loop.step, self.loop.epoch = start, bisect_right(self.ends, max(start - 1, 0))
        self.limits.enforce(self.loop.mask, self.optimizer)
        for callback in self.callbacks:
            callback.on_start(self.loop)
        began = time.monotonic()
        for batch in self.source.batches(self.how.batch_size, self.how.epochs, self.order, start):
            if self.losses.counted and batch.epoch != self.loop.epoch:
                # Coupled retraining can leave the last batch of an epoch empty; the epoch still ends.
                self._end_epoch(began)
            self._step(batch)
            self.state.made = batch.step + 1
            if self.state.made == self.ends[batch.epoch]:
                self._end_epoch(began)
                began = time.monotonic()
            if self.loop.stopped:
                break
            if self.checkpoints is not None and self.checkpoints.due():
                self.state.save(self.checkpoints)
        self._finish()

    def _step(self, batch: Any) -> None:
        loop = self.loop
        loop.step, loop.epoch, loop.progress = batch.step, batch.epoch, batch.progress
        loop.lr = self.how.rate(batch.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = loop.lr
        self.statistics.suit(batch.smallest)
        self.limits.narrow(batch.where if isinstance(batch, TurnBatch) else None)
        prepared = self.inputs(batch)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
            terms = self.loss(self.model, prepared)
        value = total(terms)
        value.backward()  # type: ignore[no-untyped-call]
        self.limits.limit_gradients(loop.mask, self.how.clip)
        self.limits.step(self.optimizer)
        for p in self.limits.live.values():
            p.grad = None
        for callback in self.callbacks:
            callback.on_step(loop)
        self.limits.enforce(loop.mask, self.optimizer)
        seen = len(batch)
        loop.examples += seen
        if self.losses.add(loop.step, terms, value, seen):
            loop.loss = self.losses.mean()

    def _end_epoch(self, began: float) -> None:
        self.losses.read(self.loop.step)
        self.loop.loss = self.losses.mean()
        row = {
            "descent": self.index,
            "epoch": self.loop.epoch,
            "loss": float(self.loop.loss or 0.0),
            "lr": self.loop.lr,
            "seconds": time.monotonic() - began,
            **self.losses.end_epoch(),
        }
        self.log.history.append(row)
        for callback in self.callbacks:
            callback.on_epoch(self.loop)

    def _finish(self) -> None:
        if self.losses.counted:
            self._end_epoch(self.losses.read_at)
        if bad := named.not_finite(self.limits.live):
            raise Diverged(f"weights are not finite after the last step, first in {bad[0]}; lower the learning rate")
        if self.loop.stopped:
            self.log.notes.append(self.loop.stopped)
        for callback in self.callbacks:
            callback.on_end(self.loop)
        if self.checkpoints is not None:
            self.state.save(self.checkpoints, done=True)


def order_seed(seed: int, index: int) -> int:
    """The seed of the order of the ``index``-th descent of a job: each shuffles anew."""
    return seed if index == 0 else seed_of(seed, "descent", index)
