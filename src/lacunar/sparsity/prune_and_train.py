"""Training a sparse model: prune, rewind, train again."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.masks import Mask
from lacunar.core.rng import generator_of
from lacunar.core.weights import model_state
from lacunar.data.examples import Source
from lacunar.sparsity.pruner import Pruner
from lacunar.sparsity.scope import Counts
from lacunar.training import forward
from lacunar.training.callbacks import Callback, Loop
from lacunar.training.log import Log
from lacunar.training.recipe import Recipe
from lacunar.training.watch import Watch

Rewind = int | str
"""Where weights go back to when a mask is found: an epoch, "init" (epoch 0) or "none" (they stay as trained)."""


def train_pruned(
    recipe: Recipe,
    examples: Source,
    pruner: Pruner,
    rewind: Rewind,
    seed: int,
    *,
    counts: Counts | None = None,
    finetune: Recipe | None = None,
    tuning: Source | None = None,
    watch: Watch | None = None,
    log: Log | None = None,
) -> tuple[nn.Module, Mask]:
    """Train, prune, rewind, train again under the mask: the sparse model and its mask.

    Pruners that look at the initialisation mask first and train once. The others see a dense model trained by the
    recipe; then the weights go back to where they were after epoch ``rewind``, masked, the learning rate to what it was
    there, and the recipe's full number of epochs follows.

    Args:
        rewind: an epoch (8 is published for CIFAR-10, 5 for ImageNet), "init" for the initial weights (lottery
            tickets), or "none" for the trained ones; then ``finetune`` follows instead of training.
        counts: how many weights stay live instead of the pruner's ``sparsity``; see :meth:`Pruner.mask`.
        finetune: how masked weights are trained on with rewind="none"; None leaves them as they are.
        tuning: examples that are neither trained on nor judged with. Given, the weights of the final training's
            best epoch on them remain, as in published code; else those of the last epoch.

    Raises:
        BadInput: an epoch that the recipe does not reach, tuning examples that are trained on.
        NotApplicable: a recipe with its own ``train=`` that would have to keep a mask, a pruner that trains between its
            rounds where nothing does (rewind="none" without ``finetune``), or what the pruner lacks.

    Departures from the paper: the last epoch counts unless ``tuning`` is given.
    """
    first = pruner.scores == "initial"
    back = "init" if first else rewind
    log = log or (None if watch is None else Log())
    making = _Making(recipe, examples, pruner, back, seed, finetune, tuning, watch, log, counts=counts)
    start = recipe.fresh(seed).to(examples.on)
    if first:
        return making.finish(start, start)
    snapshot = Snapshot(making.epoch)
    # A recipe with its own train= cannot be watched, and without a rewind need not be.
    dense = recipe.fit(examples, seed, callbacks=[snapshot] if making.epoch else [], watch=watch, log=log)
    return making.finish(dense, snapshot.of(start))


def prune_trained(
    model: nn.Module,
    recipe: Recipe,
    examples: Source,
    pruner: Pruner,
    rewind: Rewind,
    seed: int,
    *,
    within: Mapping[str, Tensor] | None = None,
    finetune: Recipe | None = None,
    watch: Watch | None = None,
    log: Log | None = None,
) -> tuple[nn.Module, Mask]:
    """Make a given trained model sparse; as :func:`train_pruned` from its second step on.

    A rewind needs the recipe and the seed of the original training: its first epochs are repeated.

    Args:
        model: left as found.
        within: live weights of a model that is pruned already; none outside comes back.
    """
    first = pruner.scores == "initial" and rewind != "none"
    back = "init" if first else rewind
    log = log or (None if watch is None else Log())
    making = _Making(recipe, examples, pruner, back, seed, finetune, None, watch, log, within)
    if rewind == "none":
        return making.finish(model, model)
    start = recipe.fresh(seed).to(examples.on)
    if first:
        return making.finish(start, start)
    snapshot = Snapshot(making.epoch, stop=True)
    if making.epoch > 0:
        recipe.fit(examples, seed, callbacks=[snapshot], watch=watch, log=log)
    return making.finish(model, snapshot.of(start))


@dataclass(frozen=True)
class _Making:
    # Fields as the arguments of train_pruned and prune_trained.

    recipe: Recipe
    examples: Source
    pruner: Pruner
    rewind: Rewind
    seed: int
    finetune: Recipe | None
    tuning: Source | None
    watch: Watch | None
    log: Log | None
    within: Mapping[str, Tensor] | None = None
    counts: Counts | None = None

    def __post_init__(self) -> None:
        if isinstance(self.rewind, str) and self.rewind not in ("init", "none"):
            raise BadInput(f'rewind is an epoch, "init" or "none", got {self.rewind!r}')
        if not 0 <= self.epoch < self.recipe.epochs:
            raise BadInput(f"rewind={self.rewind} is no epoch of a recipe with {self.recipe.epochs} epochs")
        if self.untrained and self.pruner.iterative:
            raise NotApplicable(
                f'{self.pruner.name()} trains between its rounds, and with rewind="none" and no fine-tuning nothing '
                "does, so it would prune once: rewind to an epoch, fine-tune, or use global_magnitude"
            )
        if self.recipe.train is not None and not self.untrained:
            raise NotApplicable("a recipe with its own train= cannot keep a mask; give the settings of the training")
        if self.tuning is not None and bool(self.examples.has(self.tuning.ids).any()):
            raise BadInput("tuning examples are among those trained on; the best epoch would be chosen on them")

    @property
    def untrained(self) -> bool:
        """Whether weights stay as they are under the mask."""
        return self.rewind == "none" and self.finetune is None

    @property
    def epoch(self) -> int:
        """The epoch to which weights go back."""
        return self.rewind if isinstance(self.rewind, int) else 0

    def finish(self, scored: nn.Module, rewound: nn.Module) -> tuple[nn.Module, Mask]:
        """Mask by what the pruner sees in ``scored``, then train ``rewound`` under the mask."""

        def retrain(pruned: nn.Module, mask: Mask) -> nn.Module:
            return self._again(pruned, rewound, mask, [])

        rng = generator_of(self.seed, "prune")
        mask = self.pruner.mask(
            scored, self.examples, rng, self.counts, recipe=self.recipe, within=self.within, retrain=retrain
        )
        return self._again(scored, rewound, mask, self._best()), mask

    def _again(self, trained: nn.Module, rewound: nn.Module, mask: Mask, callbacks: Sequence[Callback]) -> nn.Module:
        recipe, start = self.recipe, rewound
        if self.untrained:
            return _masked(trained, mask)
        if self.finetune is not None and self.rewind == "none":
            recipe, start = self.finetune, trained
        return recipe.fit(
            self.examples,
            self.seed,
            mask=mask,
            start=start,
            from_epoch=self.epoch,
            callbacks=callbacks,
            watch=self.watch,
            log=self.log,
        )

    def _best(self) -> list[Callback]:
        return [] if self.tuning is None else [Best(self.tuning, self.recipe.prepare)]


@dataclass
class Snapshot(Callback):
    """Keeps the weights and buffers as they are after some epochs.

    Attributes:
        epochs: how many.
        stop: end the training there.
    """

    epochs: int
    stop: bool = False
    _kept: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    def on_epoch(self, loop: Loop) -> None:
        if loop.epoch + 1 == self.epochs:
            self._kept = _state(loop.model)
            if self.stop:
                loop.stop(f"the first {self.epochs} epochs were repeated, for the weights to rewind to")

    def of(self, start: nn.Module) -> nn.Module:
        """``start``, the model before the first epoch, as it was at the snapshot."""
        return start if self.epochs == 0 else _with_state(copy.deepcopy(start), self._kept)

    def state(self) -> dict[str, Tensor]:
        return dict(self._kept)

    def restore(self, state: dict[str, Tensor]) -> None:
        self._kept = dict(state)


@dataclass
class Best(Callback):
    """Leaves the weights and buffers of the epoch with the highest accuracy on held-out examples, the first of equals.

    Attributes:
        examples: not trained on, not judged with.
        prepare: the recipe's input preparation.
    """

    examples: Source
    prepare: forward.Prepare
    _accuracy: float = field(default=-1.0, init=False, repr=False)
    _kept: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)

    def on_epoch(self, loop: Loop) -> None:
        z = forward.two_sided(forward.predict(loop.model, self.examples, self.prepare))
        accuracy = float((z.argmax(1) == self.examples.y.cpu()).double().mean())
        if accuracy > self._accuracy:
            self._accuracy = accuracy
            self._kept = _state(loop.model)

    def on_end(self, loop: Loop) -> None:
        _with_state(loop.model, self._kept)

    def state(self) -> dict[str, Tensor]:
        kept = {f"kept.{name}": t for name, t in self._kept.items()}
        return {"accuracy": torch.tensor(self._accuracy, dtype=torch.float64), **kept}

    def restore(self, state: dict[str, Tensor]) -> None:
        self._accuracy = float(state["accuracy"])
        self._kept = {name.removeprefix("kept."): t for name, t in state.items() if name != "accuracy"}


def _masked(model: nn.Module, mask: Mask) -> nn.Module:
    masked = copy.deepcopy(model)
    named.write(masked, masks.keep(named.weights(masked), mask))
    return masked.eval()


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: t.detach().clone() for name, t in model_state(model).items()}


@torch.no_grad()
def _with_state(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    for name, value in model_state(model).items():
        value.copy_(state[name])
    return model
