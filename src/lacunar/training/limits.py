"""What the training loop may and may not move."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lacunar.core import named
from lacunar.core.errors import BadInput, sample_of
from lacunar.core.masks import Mask
from lacunar.core.named import Named


@dataclass(frozen=True)
class Limits:
    """What the loop may and may not move.

    Attributes:
        mask: live weights; all others stay exactly 0, with their momentum.
        where: weights that may move; all others stay bit-equal.
        factors: each weight's gradient is multiplied by its factor.
        transform: a function Named -> Named on the gradients, after clipping.
    """

    mask: Mask | None = None
    where: Mask | None = None
    factors: Named | None = None
    transform: Callable[[Named], Named] | None = None

    def on(self, model: nn.Module) -> BoundLimits:
        """These limits on the weights of ``model``; weights that they do not name, such as adapters, are free.

        Raises:
            BadInput: a name or a shape that the model does not have, or nothing that could move.
        """
        return BoundLimits(self, model)


@dataclass(frozen=True)
class _Held:
    """Entries of one weight that must not move, and what they are."""

    weight: nn.Parameter
    free: Tensor
    closed: Tensor
    original: Tensor

    @classmethod
    def of(cls, weight: nn.Parameter, free: Tensor) -> _Held:
        return cls(weight, free, ~free, weight.detach().clone())

    def put_back(self) -> None:
        self.weight.copy_(torch.where(self.free, self.weight, self.original))


class BoundLimits:
    """Limits on the weights of one model; see :meth:`Limits.on`."""

    def __init__(self, limits: Limits, model: nn.Module) -> None:
        self.limits, self.live = limits, named.parameters(model)
        for part in (limits.mask, limits.where, limits.factors):
            _of_the_model(self.live, part)
        where = limits.where or {}
        self.moving = {n: p for n, p in self.live.items() if n not in where or bool(where[n].any())}
        if not self.moving:
            raise BadInput("no weight may move: all are frozen, or `where` is False everywhere")
        self.held = _held(self.moving, limits.where)
        self.turn: Mask | None = None
        self.resting: dict[str, _Held] = {}
        self.dead_of: Mask | None = None
        self.dead: dict[str, Tensor] = {}

    def narrow(self, where: Mask | None) -> None:
        """Until the next call only the weights in ``where`` may move, of those that may move at all.

        Raises:
            BadInput: a mask of another model, or one that lets nothing move.
        """
        if where is self.turn:
            return
        _of_the_model(self.live, where)
        self.turn, self.resting = where, _held(self.moving, where)
        if all(n in self.resting and not bool(self.resting[n].free.any()) for n in self.moving):
            raise BadInput("no weight may move in this turn: its `where` is False wherever weights may move at all")

    def limit_gradients(self, mask: Mask | None, clip: float | None) -> None:
        """Shape the gradients: factors, nothing outside masks, clipping, the transform."""
        self._shape(self.limits.factors or {}, self._dead(mask))
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(self.moving.values(), clip)
        if (transform := self.limits.transform) is not None:
            grads = {n: p.grad for n, p in self.moving.items() if p.grad is not None}
            for name, value in transform(grads).items():
                self.moving[name].grad = value

    def _shape(self, factors: Mapping[str, Tensor], dead: Mapping[str, Tensor]) -> None:
        shaped = factors.keys() | dead.keys() | self.held.keys() | self.resting.keys()
        for name in shaped & self.moving.keys() if shaped else ():
            if (grad := self.moving[name].grad) is None:
                continue
            if name in factors:
                grad.mul_(factors[name])
            if name in dead:
                grad.masked_fill_(dead[name], 0.0)
            for held in (self.held, self.resting):
                if name in held:
                    grad.masked_fill_(held[name].closed, 0.0)

    def step(self, optimizer: Optimizer) -> None:
        """A step of the optimiser; momentum and moments of weights that rest in this turn stay as they are."""
        if not self.resting:
            optimizer.step()
            return
        before = {name: _slots(optimizer, held.weight) for name, held in self.resting.items()}
        copies = {name: {slot: t.clone() for slot, t in slots.items()} for name, slots in before.items()}
        for held in self.resting.values():
            if not bool(held.free.any()):
                held.weight.grad = None
        optimizer.step()
        for name, held in self.resting.items():
            for slot, value in _slots(optimizer, held.weight).items():
                was = copies[name].get(slot)
                value.copy_(torch.where(held.free, value, torch.zeros_like(value) if was is None else was))

    def enforce(self, mask: Mask | None, optimizer: Optimizer) -> None:
        """Put back what must not move: pruned weights to 0 with their momentum, held ones to what they were."""
        dead = self._dead(mask)
        if not (dead or self.held or self.resting):
            return
        with torch.no_grad():
            for name in dead.keys() & self.moving.keys():
                for value in (self.moving[name], *_slots(optimizer, self.moving[name]).values()):
                    value.masked_fill_(dead[name], 0.0)
            for held in (*self.held.values(), *self.resting.values()):
                held.put_back()

    def _dead(self, mask: Mask | None) -> dict[str, Tensor]:
        if mask is not self.dead_of:
            self.dead_of = mask
            self.dead = {n: ~m for n, m in (mask or {}).items() if not bool(m.all())}
        return self.dead


def _of_the_model(live: Mapping[str, Tensor], part: Mapping[str, Tensor] | None) -> None:
    wrong = [n for n, t in (part or {}).items() if n not in live or live[n].shape != t.shape]
    if wrong:
        raise BadInput(
            f"masks and model do not belong to the same model: they differ at {sample_of(wrong)}; the model has "
            f"{sample_of(live)}"
        )


def _held(moving: Mapping[str, nn.Parameter], where: Mask | None) -> dict[str, _Held]:
    partly = {n: w for n, w in (where or {}).items() if n in moving and not bool(w.all())}
    return {n: _Held.of(moving[n], w) for n, w in partly.items()}


def _slots(optimizer: Optimizer, weight: nn.Parameter) -> dict[str, Tensor]:
    state = optimizer.state.get(weight, {}).items()
    return {slot: t for slot, t in state if isinstance(t, Tensor) and t.shape == weight.shape}
