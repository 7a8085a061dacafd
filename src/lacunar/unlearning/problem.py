"""What a method may know (Problem) and what it leaves behind (Outcome)."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.prune import is_pruned

from lacunar.core import named, rng
from lacunar.core.errors import BadInput, sample_of
from lacunar.core.named import Mask, Named
from lacunar.core.weights import model_state
from lacunar.data.batches import Batch, Batches, Inputs
from lacunar.data.corrections import differing
from lacunar.data.examples import Source
from lacunar.data.ids import Ids, as_ids
from lacunar.data.stream import load
from lacunar.machine import device as machine
from lacunar.sparsity.score import Score
from lacunar.training import forward
from lacunar.training.callbacks import Callback
from lacunar.training.limits import Limits
from lacunar.training.loop import Loss, descend
from lacunar.training.recipe import Recipe
from lacunar.training.run import Run
from lacunar.training.settings import Descent

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class Problem:
    """A trained model and what must be forgotten. No test data, no retrained model, no metric.

    Attributes:
        model: the trained model; methods work on a copy.
        retain, forget: the training set in two disjoint parts.
        recipe: how the model was trained, input preparation and loss included.
        seed: of everything random that a method does.
        mask: live weights of a pruned model; all others are 0 and stay 0.
        where: the weights that a method may move; all others stay bit-equal.
        corrected: corrected rows for some of the forget ids (features or labels changed); None means deletion.
        validation: held-out examples, neither trained on nor the judge's, for stopping rules.
        trace: what training recorded about each example; state: what ``prepare`` computed while the data was there.
        run: how the job is watched; also the meter of what it used.
        notes: what a reader of the result should know, e.g. that a class disappears.
    """

    model: nn.Module = field(repr=False)
    retain: Source
    forget: Source
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0
    mask: Mask | None = field(default=None, repr=False)
    where: Mask | None = field(default=None, repr=False)
    corrected: Source | None = None
    validation: Source | None = None
    trace: Mapping[str, Tensor] | None = field(default=None, repr=False)
    state: Mapping[str, Tensor] | None = field(default=None, repr=False)
    run: Run = field(default_factory=Run, repr=False)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        model: nn.Module,
        train: Any,
        forget: Ids | Source | None = None,
        recipe: Recipe | None = None,
        seed: int = 0,
        *,
        corrected: Source | None = None,
        device: str = "auto",
        **more: Any,
    ) -> Problem:
        """A checked problem: splits ``train`` into what stays and what goes.

        Args:
            train: what the model was trained on, in any form that :func:`lacunar.data.stream.load` takes.
            forget: ids of training examples (positions, unless the data set has its own ids); None for those that
                ``corrected`` changes.
            corrected: training rows as they should have been, e.g. from :mod:`lacunar.data.corrections`; those that
                differ from ``train`` are forgotten as well, and theirs are the corrected rows.
            device: "auto" is CUDA where there is one.
            more: ``mask``, ``where``, ``validation``, ``trace``, ``state``.

        Raises:
            BadInput: ids that are not in the training set, nothing to forget, nothing to retain, weights that are NaN
                or infinite, labels that the model's head has no logit for, masks of another model.
        """
        examples = load(train)
        recipe = recipe or Recipe()
        gone, notes = _asked(examples, forget, corrected)
        goes, stays = examples.where(gone), examples.without(gone)
        target = machine.device(device)
        if corrected is not None:
            # The rows of a whole corrected set that nobody touched are retained examples.
            corrected = corrected.take(goes.has(corrected.ids).nonzero().reshape(-1)).to(target)
        if len(stays) == 0 and not corrected:
            raise BadInput(f"all {len(examples)} training examples are to be forgotten: nothing is left to retain")
        _check_weights(model, more.get("mask"), more.get("where"))
        stays, goes = stays.to(target), goes.to(target)
        masks = {name: more[name] for name in ("mask", "where") if more.get(name) is not None}
        more |= {name: {key: m.to(target) for key, m in mask.items()} for name, mask in masks.items()}
        parts = [part for part in (stays, goes, corrected) if part]
        check_head(model, recipe, *parts)
        left = {label for part in (stays, corrected) if part for label in part.class_counts()}
        if vanished := sorted(set(goes.class_counts()) - left):
            notes.append(
                f"class {sample_of(vanished)} disappears: no retained example has it, so accuracy on retained data and "
                "membership controls are undefined for it; test accuracy leaves it out"
            )
        return cls(model, stays, goes, recipe, seed, corrected=corrected, notes=tuple(notes), **more)

    @property
    def device(self) -> torch.device:
        """Where the examples are and the work is done."""
        return self.retain.on

    @property
    def edited(self) -> Source:
        """The training set as it should have been: the retained examples and the corrected rows."""
        return self.retain if self.corrected is None else self.retain + self.corrected

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The recipe's mean loss on a prepared batch."""
        return self.recipe.mean_loss(model, batch)

    def losses(self, model: nn.Module, batch: Batch) -> Tensor:
        """The recipe's loss of each example of a prepared batch, ``[n]``."""
        return self.recipe.losses(forward.logits(model, batch.x), batch.y)

    def descend(
        self,
        model: nn.Module,
        source: Batches,
        loss: Loss,
        how: Any,
        callbacks: Sequence[Callback] = (),
        transform: Callable[[Named], Named] | None = None,
        factors: Named | None = None,
        **overrides: Any,
    ) -> nn.Module:
        """Descend with this problem's seed, masks, input preparation and precision.

        Args:
            how: the method itself: every field that :class:`Descent` also has is taken from it.
            overrides: further Descent settings, e.g. ``epochs=1``.
        """
        settings = Descent.of(how, **{"precision": self.recipe.precision, **overrides})
        return descend(
            model,
            source,
            loss,
            settings,
            seed=self.seed,
            inputs=self.recipe.for_training(self.seed, settings.augment),
            limits=Limits(self.mask, self.where, factors, transform),
            callbacks=callbacks,
            run=self.run,
        )

    def scores(self, score: Score, model: nn.Module | None = None) -> Named:
        """The scores of the weights of ``model`` (by default the original), drawn from the seed, on the device.

        Those of the state if it has them, see :meth:`~lacunar.sparsity.score.Score.prepare`. Notes go to the run.
        """
        given = self.model if model is None else model
        ready, note = score.prepared(self.state or {}, given)
        if note:
            self.run.notes.append(note)
        if ready is not None:
            return {name: part.to(self.device) for name, part in ready.items()}
        if next(given.parameters()).device != self.device:
            given = copy.deepcopy(given).to(self.device)
        return score.scores(
            given,
            self.edited,
            self.recipe,
            rng.generator_of(self.seed, "scores", score.name()),
            forget=self.forget,
            corrected=self.corrected,
            notes=self.run.notes,
        )

    def movable(self, model: nn.Module) -> Mask | None:
        """The weights that may change: live and inside ``where``; None for all."""
        return named.both(self.mask, self.where)

    def example(self) -> Inputs:
        """A prepared input, for those who must run the model to follow it."""
        return self.recipe.prepare(self.forget.inputs_at(torch.arange(1, device=self.forget.on)))

    def move(self, model: nn.Module, update: Named) -> nn.Module:
        """Add a closed-form ``update`` to the weights that may move, in place."""
        free = self.movable(model)
        now = named.weights(model)
        moved = named.add(now, update)
        named.write(model, moved if free is None else named.choose(free, moved, now))
        return model


def _asked(examples: Source, forget: Ids | Source | None, corrected: Source | None) -> tuple[Tensor, list[str]]:
    if forget is None and corrected is None:
        raise BadInput("there is nothing to forget: give ids (forget=), or corrected rows (corrected=)")
    ids, notes = _distinct(forget.ids if isinstance(forget, Source) else as_ids([] if forget is None else forget))
    if corrected is not None:
        if type(corrected) is not type(examples):
            kinds = type(corrected).__name__, type(examples).__name__
            raise BadInput(f"corrected rows must be of the same kind as the training set, got {' for '.join(kinds)}")
        changed = differing(examples, corrected)
        ids = torch.cat([ids, changed[~torch.isin(changed, ids)]])
    if len(ids) == 0:
        same = "every corrected row equals the training row of its id" if corrected is not None else "the list is empty"
        raise BadInput(f"there are no ids to forget: {same}")
    return ids, notes


def _distinct(ids: Tensor) -> tuple[Tensor, list[str]]:
    unique = torch.unique(ids)
    if len(unique) == len(ids):
        return ids.cpu(), []
    note = f"the forget list has {len(ids)} entries but {len(unique)} distinct ids; each is forgotten once"
    warnings.warn(note, stacklevel=4)
    return unique.cpu(), [note]


def _check_weights(model: nn.Module, mask: Mask | None, where: Mask | None) -> None:
    if is_pruned(model):
        raise BadInput(
            "the model has pruning hooks, which break copying and slow it down; make them permanent with "
            "torch.nn.utils.prune.remove and give the zeros as mask="
        )
    weights = named.weights(model)
    if not weights:
        raise BadInput("the model has no trainable weight")
    if bad := named.not_finite(model_state(model)):
        raise BadInput(f"the model holds NaN or infinity in {sample_of(bad)}; use a checkpoint from before that")
    for part in (mask, where):
        if part is not None:
            named.same_keys(weights, part)
    if mask is not None and any(bool(weights[n][~m.to(weights[n].device)].any()) for n, m in mask.items()):
        raise BadInput("the model has non-zero weights outside its mask; set them to zero or give the right mask")


def check_head(model: nn.Module, recipe: Recipe, *parts: Source) -> None:
    """Raise :class:`BadInput` unless the model takes inputs like these and has a logit for every label."""
    few = parts[0].take(torch.arange(min(2, len(parts[0])))).to(next(model.parameters()).device)
    try:
        z = recipe.predict(model, few)
    except BadInput:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        why = str(error).strip().partition("\n")[0]
        raise BadInput(f"the model cannot take the inputs of these data, {few!r}: {why}") from error
    try:
        recipe.losses(z, torch.zeros_like(few.y).cpu())
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        form = f"{str(few.y.dtype).removeprefix('torch.')} {list(few.y.shape[1:])}"
        raise BadInput(
            f"labels of the form {form} do not fit the loss {recipe.loss!r} on logits {list(z.shape[1:])}: give class "
            f"labels as whole numbers, one per example, or name another loss"
        ) from error
    y = torch.cat([part.y.cpu() for part in parts])
    if recipe.loss != "cross_entropy" or y.is_floating_point() or y.ndim != 1:
        return
    if int(y.min()) < 0 or int(y.max()) >= z.shape[-1]:
        raise BadInput(
            f"labels run from {int(y.min())} to {int(y.max())}, but the model has {z.shape[-1]} logits "
            f"(classes 0 to {z.shape[-1] - 1}); is the head of another size, or do labels start at 1?"
        )
