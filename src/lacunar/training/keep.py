"""Keeping the weights of one epoch: the best, the first, the n-th."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lacunar.core.weights import model_state
from lacunar.training.callbacks import Callback, Loop

_START = "kept."


@dataclass
class KeptWeights:
    """The weights and buffers of a model as they were when it was last told to keep them."""

    tensors: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def keep(self, model: nn.Module) -> None:
        """Remember ``model`` as it is now."""
        self.tensors = {name: t.detach().clone() for name, t in model_state(model).items()}

    @torch.no_grad()
    def put_back(self, model: nn.Module) -> nn.Module:
        """``model`` with what was kept, in place; as it is when nothing was."""
        if self.tensors:
            for name, value in model_state(model).items():
                value.copy_(self.tensors[name])
        return model

    def copied_into(self, model: nn.Module) -> nn.Module:
        """A copy of ``model`` with what was kept; ``model`` itself when nothing was."""
        return self.put_back(copy.deepcopy(model)) if self.tensors else model

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint must keep."""
        return {_START + name: t for name, t in self.tensors.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """The inverse of :meth:`state`; other tensors in ``state`` are left out."""
        self.tensors = {name.removeprefix(_START): t for name, t in state.items() if name.startswith(_START)}


@dataclass
class Keep(Callback):
    """Keeps the weights and buffers of the epoch with the highest score, the first of equals.

    Attributes:
        score: of the model after an epoch; None for an epoch that is out of the question.
        put_back: leave the model with what was kept when the descent ends.
        stop: why the descent ends as soon as something is kept; None to go on.
    """

    score: Callable[[Loop], float | None]
    put_back: bool = False
    stop: str | None = None
    kept: KeptWeights = field(default_factory=KeptWeights, init=False, repr=False)
    _highest: float = field(default=float("-inf"), init=False, repr=False)

    def on_epoch(self, loop: Loop) -> None:
        score = self.score(loop)
        if score is None or not score > self._highest:
            return
        self._highest = score
        self.kept.keep(loop.model)
        if self.stop is not None:
            loop.stop(self.stop)

    def on_end(self, loop: Loop) -> None:
        if self.put_back:
            self.kept.put_back(loop.model)

    def state(self) -> dict[str, Tensor]:
        # Infinity cannot be saved; nothing has a score before something is kept.
        highest = {"highest": torch.tensor(self._highest, dtype=torch.float64)} if self.kept.tensors else {}
        return highest | self.kept.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        self.kept.restore(state)
        self._highest = float(state["highest"]) if "highest" in state else float("-inf")


def after(epochs: int) -> Callable[[Loop], float | None]:
    """The score with which :class:`Keep` keeps the weights as they are after so many epochs."""
    return lambda loop: 1.0 if loop.epoch + 1 == epochs else None
