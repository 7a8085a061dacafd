"""The training loop: the only one, for the first training, for retraining and for every method."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from lacunar.core import named
from lacunar.core.errors import BadInput, Diverged
from lacunar.core.rng import isolated, seed_of
from lacunar.data.batches import Batches
from lacunar.machine.precision import is_conv, resolve_precision
from lacunar.training.callbacks import Callback, Loop
from lacunar.training.checkpoint import pack, unpack
from lacunar.training.limits import Limits
from lacunar.training.log import Log
from lacunar.training.settings import Descent
from lacunar.training.watch import Watch

Loss: TypeAlias = Callable[[nn.Module, Any], Tensor]
"""``(model, batch) -> scalar``; the batch is a :class:`~lacunar.data.batches.Batch` or
``PairedBatch``, inputs prepared."""

READ_STEPS, READ_SECONDS = 50, 1.0


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
    from the device inside the loop but the mean loss, at most every 50 steps and 1 second. With ``watch.checkpoints``
    an interrupted call that is repeated goes on from the last checkpoint and ends, on a CPU, with the same weights as
    an uninterrupted one.

    Args:
        model: trained in place and returned; each module's train/eval mode is as found afterwards.
        source: :class:`~lacunar.data.examples.Source` or :class:`~lacunar.data.pairing.Pair`.
        loss: the objective on one prepared batch.
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
    with isolated(seed, "noise", index), _training(model, how), torch.enable_grad():
        job = _Job(model, source, loss, how, seed, inputs, limits, [*callbacks, *watch.callbacks], watch, log, index)
        try:
            job.run_all()
        except BaseException:
            for callback in job.callbacks:
                callback.on_abort(job.loop)
            raise
    return model


@contextmanager
def _training(model: nn.Module, how: Descent) -> Iterator[None]:
    was = {module: module.training for module in model.modules()}
    conv = is_conv(model)
    model.train()
    if how.compile:
        model.compile()  # in place: weights keep their names, and losses that walk them keep working
    if how.batchnorm == "frozen":
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    if conv:
        _layout(model, torch.channels_last)
    try:
        yield
    finally:
        model._compiled_call_impl = None
        if conv:
            _layout(model, torch.contiguous_format)
        for module, training in was.items():
            module.training = training


def _layout(model: nn.Module, memory_format: torch.memory_format) -> None:
    for parameter in model.parameters():
        if parameter.ndim == 4:
            # clone() always restrides; contiguous() leaves weights alone that have one input channel or are 1x1, and
            # then the whole layer runs in the old layout.
            parameter.data = parameter.data.clone(memory_format=memory_format)
            parameter.grad = None


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
        self.model, self.source, self.loss, self.how, self.seed = model, source, loss, how, seed
        self.inputs, self.limits, self.callbacks, self.watch, self.index = inputs, limits, callbacks, watch, index
        self.log = log
        self.live = named.parameters(model)
        for part in (limits.mask, limits.where, limits.factors):
            if part is not None:
                named.same_keys(self.live, part)
        self.moving = {n: p for n, p in self.live.items() if limits.where is None or bool(limits.where[n].any())}
        if not self.moving:
            raise BadInput("no weight may move: all are frozen, or `where` is False everywhere")
        partly = {} if limits.where is None else {n: w for n, w in limits.where.items() if n in self.moving}
        self.held = {n: (w, self.live[n].detach().clone()) for n, w in partly.items() if not bool(w.all())}
        device = next(iter(self.live.values())).device
        self.device = device
        self.precision = resolve_precision(how.precision, model, device)
        self.optimizer = _optimizer(how, list(self.moving.values()))
        self.unread: list[tuple[int, Tensor, int]] = []
        self.total, self.counted, self.read_at, self.read_step = 0.0, 0, time.monotonic(), 0
        steps = source.steps(how.batch_size) * how.epochs
        self.loop = Loop(model, steps, how.epochs, mask=limits.mask)
        self.dead_of: object = None
        self.dead: dict[str, Tensor] = {}
        self.identity = ""
        self.made = 0

    def run_all(self) -> None:
        start = self._resume()
        if start is None:
            return
        per_epoch = self.source.steps(self.how.batch_size)
        self.made = start
        self.loop.step, self.loop.epoch = start, max(start - 1, 0) // per_epoch
        self._enforce()
        for callback in self.callbacks:
            callback.on_start(self.loop)
        began = time.monotonic()
        for batch in self.source.batches(
            self.how.batch_size, self.how.epochs, order_seed(self.seed, self.index), start
        ):
            if self.counted and batch.epoch != self.loop.epoch:
                # Coupled retraining can leave the last batch of an epoch empty; the epoch still ends.
                self._end_epoch(began)
            self._step(batch)
            self.made = batch.step + 1
            if self.made % per_epoch == 0:
                self._end_epoch(began)
                began = time.monotonic()
            if self.loop.stopped:
                break
            if self.watch.checkpoints is not None and self.watch.checkpoints.due():
                self._save()
        self._finish()

    def _step(self, batch: Any) -> None:
        loop = self.loop
        loop.step, loop.epoch, loop.progress = batch.step, batch.epoch, batch.progress
        loop.lr = self.how.rate(batch.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = loop.lr
        prepared = self.inputs(batch)
        bfloat16 = self.precision == "bfloat16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=bfloat16):
            value = self.loss(self.model, prepared)
        value.backward()  # type: ignore[no-untyped-call]
        self._shape_gradients()
        self.optimizer.step()
        for p in self.live.values():
            p.grad = None
        for callback in self.callbacks:
            callback.on_step(loop)
        self._enforce()
        seen = len(batch)
        loop.examples += seen
        self._account(value.detach(), seen)

    def _account(self, value: Tensor, seen: int) -> None:
        # Losses are kept as they are and read together: arithmetic on each costs a small net's step several percent.
        self.unread.append((self.loop.step, value, seen))
        self.counted += seen
        quiet = self.loop.step - self.read_step >= READ_STEPS and time.monotonic() - self.read_at >= READ_SECONDS
        if quiet:
            self._read()

    def _read(self) -> None:
        self.read_at, self.read_step = time.monotonic(), self.loop.step
        if not self.unread:
            return
        values = torch.stack([value for _, value, _ in self.unread]).double().flatten().tolist()
        for (step, _, seen), value in zip(self.unread, values, strict=True):
            if not math.isfinite(value):
                raise Diverged(
                    f"the loss is not finite from step {step + 1} of {self.loop.steps} on; "
                    f"lower the learning rate (lr={self.how.lr:g}) or set clip"
                )
            self.total += value * seen
        self.unread.clear()
        self.loop.loss = self.total / self.counted

    def _shape_gradients(self) -> None:
        limits, dead = self.limits, self._dead()
        for name, p in self.moving.items():
            if p.grad is None:
                continue
            if limits.factors is not None:
                p.grad.mul_(limits.factors[name])
            if name in dead:
                p.grad.masked_fill_(dead[name], 0.0)
            if name in self.held:
                p.grad.masked_fill_(~self.held[name][0], 0.0)
        if self.how.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.moving.values(), self.how.clip)
        if limits.transform is not None:
            grads = {n: p.grad for n, p in self.moving.items() if p.grad is not None}
            for name, value in limits.transform(grads).items():
                self.moving[name].grad = value

    def _dead(self) -> dict[str, Tensor]:
        if self.loop.mask is not self.dead_of:
            self.dead_of = self.loop.mask
            self.dead = {n: ~m for n, m in (self.loop.mask or {}).items() if not bool(m.all())}
        return self.dead

    @torch.no_grad()
    def _enforce(self) -> None:
        dead = self._dead()
        for name, p in self.moving.items():
            if name in dead:
                p.masked_fill_(dead[name], 0.0)
                for slot in self.optimizer.state.get(p, {}).values():
                    if isinstance(slot, Tensor) and slot.shape == p.shape:
                        slot.masked_fill_(dead[name], 0.0)
            if name in self.held:
                free, original = self.held[name]
                p.copy_(torch.where(free, p, original))

    def _end_epoch(self, began: float) -> None:
        self._read()
        row = {
            "descent": self.index,
            "epoch": self.loop.epoch,
            "loss": float(self.loop.loss or 0.0),
            "lr": self.loop.lr,
            "seconds": time.monotonic() - began,
        }
        self.log.history.append(row)
        self.total, self.counted = 0.0, 0
        for callback in self.callbacks:
            callback.on_epoch(self.loop)

    def _finish(self) -> None:
        if self.counted:
            self._end_epoch(self.read_at)
        if bad := named.not_finite(self.live):
            raise Diverged(f"weights are not finite after the last step, first in {bad[0]}; lower the learning rate")
        if self.loop.stopped:
            self.log.notes.append(self.loop.stopped)
        for callback in self.callbacks:
            callback.on_end(self.loop)
        self.log.steps += self.made
        self.log.examples_seen += self.loop.examples
        if self.watch.checkpoints is not None:
            self._save(done=True)

    def _identity(self) -> str:
        settings = {f.name: str(getattr(self.how, f.name)) for f in fields(self.how) if f.name != "schedule"}
        rates = [self.how.rate(i / 16) for i in range(16)]
        masks = [named.digest(m) if m is not None else "" for m in (self.limits.mask, self.limits.where)]
        parts = [
            self.log.identity,
            settings,
            rates,
            masks,
            self.seed,
            self.source.digest(),
            named.digest(self.model.state_dict()),
        ]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def _save(self, done: bool = False) -> None:
        assert self.watch.checkpoints is not None
        self._read()
        tensors = pack(self.model, self.optimizer)
        tensors |= {"loss/total": torch.tensor(self.total, dtype=torch.float64)}
        tensors |= {f"mask/{n}": t for n, t in (self.loop.mask or {}).items()}
        for i, callback in enumerate(self.callbacks):
            tensors |= {f"callback/{i}/{name}": t for name, t in callback.state().items()}
        meta = {
            "identity": self.identity,
            "step": self.made,
            "done": done,
            "counted": self.counted,
            "examples": self.loop.examples,
            "history": [row for row in self.log.history if row["descent"] == self.index],
            "notes": [self.loop.stopped] if self.loop.stopped else [],
        }
        self.watch.checkpoints.save(self.index, tensors, meta)

    def _resume(self) -> int | None:
        if self.watch.checkpoints is None:
            return 0
        self.identity = self._identity()
        found = self.watch.checkpoints.load(self.index, self.identity)
        if found is None:
            return 0
        tensors, meta = found
        unpack(tensors, self.model, self.optimizer)
        self.total = float(tensors["loss/total"])
        if self.loop.mask is not None or any(n.startswith("mask/") for n in tensors):
            self.loop.mask = {n: tensors[f"mask/{n}"].to(self.device) for n in self.live}
        for i, callback in enumerate(self.callbacks):
            start = f"callback/{i}/"
            callback.restore({n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)})
        self.counted, self.loop.examples = meta["counted"], meta["examples"]
        self.log.history += meta["history"]
        if meta["done"]:
            self.log.notes += meta["notes"]
            self.log.steps += meta["step"]
            self.log.examples_seen += meta["examples"]
            return None
        return int(meta["step"])


def _optimizer(how: Descent, weights: list[nn.Parameter]) -> Optimizer:
    common: dict[str, Any] = {"lr": how.lr, "weight_decay": how.weight_decay}
    if all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in weights):
        common["fused"] = True
    if how.optimizer == "sgd":
        return SGD(weights, momentum=how.momentum, **common)
    return (Adam if how.optimizer == "adam" else AdamW)(weights, **common)


def order_seed(seed: int, index: int) -> int:
    """The seed of the order of the ``index``-th descent of a job: each shuffles anew."""
    return seed if index == 0 else seed_of(seed, "descent", index)
