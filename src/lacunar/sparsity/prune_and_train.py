"""Training a sparse model: prune, rewind, train again."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.masks import Mask
from lacunar.core.rng import generator_of
from lacunar.data.examples import Source
from lacunar.sparsity.amount import Counts
from lacunar.sparsity.pruner import Pruner
from lacunar.training import forward
from lacunar.training.callbacks import Callback
from lacunar.training.keep import Keep, after
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
    snapshot = Keep(after(making.epoch))
    # A recipe with its own train= cannot be watched, and without a rewind need not be.
    dense = recipe.fit(examples, seed, callbacks=[snapshot] if making.epoch else [], watch=watch, log=log)
    return making.finish(dense, snapshot.kept.copied_into(start))


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
    repeated = f"the first {making.epoch} epochs were repeated, for the weights to rewind to"
    snapshot = Keep(after(making.epoch), stop=repeated)
    if making.epoch > 0:
        recipe.fit(examples, seed, callbacks=[snapshot], watch=watch, log=log)
    return making.finish(model, snapshot.kept.copied_into(start))


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
        tuning, prepare = self.tuning, self.recipe.prepare
        if tuning is None:
            return []
        return [Keep(lambda loop: forward.accuracy(loop.model, tuning, prepare), put_back=True)]


def _masked(model: nn.Module, mask: Mask) -> nn.Module:
    masked = copy.deepcopy(model)
    named.write(masked, masks.keep(named.weights(masked), mask))
    return masked.eval()
