"""What a method may know: a trained model, what training saw, and what of it must be forgotten."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeAlias, overload

import torch
from torch import Tensor, nn
from torch.nn.utils.prune import is_pruned

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, sample_of
from lacunar.core.masks import Mask
from lacunar.core.named import Named
from lacunar.core.rng import generator_of, seed_of
from lacunar.core.weights import model_state
from lacunar.data.batches import Batch, Batches, Inputs
from lacunar.data.corrections import differing
from lacunar.data.examples import Source
from lacunar.data.ids import Ids
from lacunar.data.stream import load
from lacunar.machine.device import device as device_named
from lacunar.sparsity.score import Score
from lacunar.training import forward
from lacunar.training.accounting import Loss
from lacunar.training.callbacks import Callback
from lacunar.training.limits import Limits
from lacunar.training.log import Log
from lacunar.training.loop import descend
from lacunar.training.recipe import Recipe
from lacunar.training.settings import Descent
from lacunar.training.turns import Turns
from lacunar.training.watch import Watch
from lacunar.unlearning.doubts import doubts
from lacunar.unlearning.rebuilding import check_build

Wanted: TypeAlias = Ids | Sequence[str] | Source
"""What must be forgotten: ids, names of examples, or the examples themselves."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A trained model and what must be forgotten. No test data, no retrained model, no metric.

    Attributes:
        model: the trained model; methods work on a copy.
        seen: what training saw, in its order, the forgotten examples included.
        forget_ids: int64, distinct ids of ``seen``: what must be forgotten.
        recipe: how the model was trained, input preparation and loss included.
        seed: of everything random that a method does.
        mask: live weights of a pruned model; all others are 0 and stay 0.
        where: the weights that a method may move; all others stay bit-equal.
        corrected: corrected rows for some of the forget ids (features or labels changed); None means deletion.
        tuning: held-out examples that a method may look at, for stopping rules; neither trained on nor the judge's.
        trace: what training recorded about each example; state: what ``precompute`` made while the data was there.
        watch, log: how the job is watched, and what comes out of it beside the model.
        notes: what a reader of the result should know, e.g. that a class disappears.
    """

    model: nn.Module = field(repr=False)
    seen: Source
    forget_ids: Tensor = field(repr=False)
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0
    mask: Mask | None = field(default=None, repr=False)
    where: Mask | None = field(default=None, repr=False)
    corrected: Source | None = None
    tuning: Source | None = None
    trace: Mapping[str, Tensor] | None = field(default=None, repr=False)
    state: Mapping[str, Tensor] | None = field(default=None, repr=False)
    watch: Watch = field(default_factory=Watch, repr=False)
    log: Log = field(default_factory=Log, repr=False)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        model: nn.Module,
        train: Any,
        forget: Wanted | None = None,
        recipe: Recipe | None = None,
        seed: int = 0,
        *,
        corrected: Source | None = None,
        tuning: Any = None,
        mask: Mask | None = None,
        where: Mask | None = None,
        trace: Mapping[str, Tensor] | None = None,
        state: Mapping[str, Tensor] | None = None,
        device: str = "auto",
    ) -> Problem:
        """A checked problem on one device.

        Args:
            train: what the model was trained on, in any form that :func:`lacunar.data.stream.load` takes.
            forget: ids of training examples (positions, unless the data set has its own ids), or their names where
                these are text; None for those that ``corrected`` changes.
            corrected: training rows as they should have been, e.g. from :mod:`lacunar.data.corrections`; those that
                differ from ``train`` are forgotten as well, and theirs are the corrected rows.
            tuning: examples that were not trained on, in any of these forms.
            device: "auto" is CUDA where there is one.

        Raises:
            BadInput: ids that are not in the training set, nothing to forget, nothing to retain, weights that are NaN
                or infinite, labels that the model's head has no logit for, masks of another model, tuning examples
                that were trained on, a recipe whose ``build`` makes another model or returns a trained one.
        """
        seen, recipe, target = load(train), recipe or Recipe(), device_named(device)
        gone, notes = _asked(seen, forget, corrected)
        _check_weights(model, mask, where)
        if corrected is not None:
            # The rows of a whole corrected set that nobody touched are retained examples.
            corrected = corrected.take(torch.isin(corrected.ids.cpu(), gone).nonzero().reshape(-1)).to(target)
        held = None if tuning is None else _not_trained_on(load(tuning, first_id=1 + int(seen.ids.max())), seen)
        found = cls(
            model,
            seen.to(target),
            gone,
            recipe,
            seed,
            mask=_on(mask, target),
            where=_on(where, target),
            corrected=corrected,
            tuning=None if held is None else held.to(target),
            trace=trace,
            state=state,
        )
        if not found.edited:
            raise BadInput(f"all {len(seen)} training examples are to be forgotten: nothing is left to retain")
        check_head(model, recipe, *(part for part in (found.retain, found.forget, corrected, found.tuning) if part))
        check_build(model, recipe)
        return replace(found, notes=(*notes, *_vanished(found), *doubts(model, recipe, seen, mask)))

    @cached_property
    def retain(self) -> Source:
        """The examples that stay, in the order of training."""
        return self.seen.without(self.forget_ids)

    @cached_property
    def forget(self) -> Source:
        """The examples that go, in the order of the request."""
        return self.seen.where(self.forget_ids)

    @cached_property
    def edited(self) -> Source:
        """The training set as it should have been: the retained examples and the corrected rows."""
        return self.retain if self.corrected is None else self.retain + self.corrected

    @property
    def device(self) -> torch.device:
        """Where the examples are and the work is done."""
        return self.seen.on

    @property
    def free(self) -> Mask | None:
        """The weights that may move: live and inside ``where``; None for all."""
        return masks.both(self.mask, self.where)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The recipe's mean loss on a prepared batch."""
        return self.recipe.mean_loss(model, batch)

    def losses(self, model: nn.Module, batch: Batch) -> Tensor:
        """The recipe's loss of each example of a prepared batch, ``[n]``."""
        return self.recipe.losses(forward.logits(model, batch.x), batch.y)

    def teacher(self) -> nn.Module:
        """A frozen copy of the original in eval mode, on the device: what distillation looks up to."""
        return copied(self.model).to(self.device).eval().requires_grad_(False)

    def example(self) -> Inputs:
        """A prepared input, for those who must run the model to follow it."""
        return self.recipe.prepare(self.forget.inputs_at(torch.arange(1, device=self.device)))

    @overload
    def descend(
        self,
        model: nn.Module,
        source: Turns,
        loss: Any,
        *,
        callbacks: Sequence[Callback] = (),
        transform: Callable[[Named], Named] | None = None,
        factors: Named | None = None,
        **overrides: Any,
    ) -> nn.Module: ...

    @overload
    def descend(
        self,
        model: nn.Module,
        source: Batches,
        loss: Loss,
        how: Any,
        *,
        callbacks: Sequence[Callback] = (),
        transform: Callable[[Named], Named] | None = None,
        factors: Named | None = None,
        **overrides: Any,
    ) -> nn.Module: ...

    def descend(
        self,
        model: nn.Module,
        source: Batches,
        loss: Any,
        how: Any = None,
        *,
        callbacks: Sequence[Callback] = (),
        transform: Callable[[Named], Named] | None = None,
        factors: Named | None = None,
        **overrides: Any,
    ) -> nn.Module:
        """Descend with this problem's seed, masks, input preparation and precision.

        Args:
            loss: what is minimised; left out where the source is :func:`~lacunar.training.turns.turns`, which bring
                their losses and the number of epochs: ``problem.descend(model, turns(...), self)``.
            how: the method itself: every field that :class:`Descent` also has is taken from it.
            overrides: further Descent settings, e.g. ``epochs=1``.
        """
        if isinstance(source, Turns):
            loss, how, overrides = source.loss, loss, {"epochs": source.rounds, **overrides}
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
            watch=self.watch,
            log=self.log,
        )

    def move(self, model: nn.Module, update: Named) -> nn.Module:
        """Add a closed-form ``update`` to the weights that may move, in place."""
        now = named.weights(model)
        moved = named.add(now, update)
        named.write(model, moved if self.free is None else masks.choose(self.free, moved, now))
        return model

    def scores(self, score: Score, model: nn.Module | None = None) -> Named:
        """The scores of the weights of ``model`` (by default the original), drawn from the seed, on the device.

        Those of the state if it has them, see :meth:`~lacunar.sparsity.score.Score.precompute`. Notes go to the log.
        """
        given = self.model if model is None else model
        ready, note = score.precomputed(self.state or {}, given)
        if note:
            self.log.notes.append(note)
        if ready is not None:
            return {name: part.to(self.device) for name, part in ready.items()}
        if next(given.parameters()).device != self.device:
            given = copied(given).to(self.device)
        return score.scores(
            given,
            self.edited,
            self.recipe,
            generator_of(self.seed, "scores", score.name()),
            forget=self.forget,
            corrected=self.corrected,
            notes=self.log.notes,
        )

    def hand_to(self, method: Unlearner, model: nn.Module, *, turn: int | None = None, **changes: Any) -> nn.Module:
        """What ``method`` makes of ``model``: the one way in which a combiner passes a problem on.

        The method is checked and sees a problem whose original is a copy of ``model``; what it notes and counts goes
        into this problem's log.

        Args:
            method: any method.
            model: where it starts; it may be changed in place and returned.
            turn: number of this call among several, each of which draws from a seed of its own; None keeps the seed.
            changes: fields of the problem that are others for this method, e.g. ``mask=``.

        Raises:
            NotApplicable: the changed problem lacks something that the method needs.
            LacunarError: the method broke its contract.
        """
        seed = self.seed if turn is None else seed_of(self.seed, "turn", turn)
        log = Log(descents=self.log.descents, identity=self.log.identity)
        posed = replace(self, **{"model": copied(model), "seed": seed, "log": log, **changes})
        result = method.unlearn(model, posed)
        method.keeps_contract(posed, result)
        self.log.absorb(log)
        return result

    def ends(
        self,
        model: nn.Module,
        mask: Mask | None = None,
        notes: Iterable[str] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> nn.Module:
        """``model``, after what a reader should know of it has gone into the log.

        Args:
            mask: its live weights, where the method has changed them.
            facts: JSON values that the method measured of its own work.
        """
        if mask is not None:
            self.log.mask = mask
        self.log.notes.extend(notes)
        self.log.facts |= facts or {}
        return model


class Unlearner(Protocol):
    """What a problem is handed to: a method, of which a problem knows no more than this."""

    def unlearn(self, model: nn.Module, problem: Problem) -> nn.Module:
        """The unlearned model, or a refusal of a problem that lacks something."""

    def keeps_contract(self, problem: Problem, result: nn.Module) -> None:
        """Refuse a result that breaks the contract."""


def copied(model: nn.Module) -> nn.Module:
    """A deep copy.

    Raises:
        BadInput: a model that cannot be copied.
    """
    try:
        return copy.deepcopy(model)
    except RuntimeError as error:
        raise BadInput(f"the model cannot be copied ({error}); remove hooks that keep non-leaf tensors") from error


def _on(mask: Mask | None, device: torch.device) -> Mask | None:
    return None if mask is None else {name: part.to(device) for name, part in mask.items()}


def _not_trained_on(tuning: Source, seen: Source) -> Source:
    if len(tuning) == 0:
        raise BadInput("there are no tuning examples: leave tuning= out, or give some that were not trained on")
    if len(shared := tuning.ids.cpu()[seen.has(tuning.ids)]):
        raise BadInput(
            f"{len(shared)} ids are in the tuning examples and in the training set: {sample_of(shared.tolist())}; a "
            "stopping rule needs examples that were not trained on, so leave these out, or give them other ids"
        )
    return tuning


def _vanished(problem: Problem) -> list[str]:
    left = {label for part in (problem.retain, problem.corrected) if part for label in part.class_counts()}
    if not (vanished := sorted(set(problem.forget.class_counts()) - left)):
        return []
    return [
        f"class {sample_of(vanished)} disappears: no retained example has it, so accuracy on retained data and "
        "membership controls are undefined for it; test accuracy leaves it out"
    ]


def _asked(examples: Source, forget: Wanted | None, corrected: Source | None) -> tuple[Tensor, list[str]]:
    if forget is None and corrected is None:
        raise BadInput("there is nothing to forget: give ids (forget=), or corrected rows (corrected=)")
    wanted = [] if forget is None else forget
    ids, notes = _distinct(wanted.ids if isinstance(wanted, Source) else examples.ids_of(wanted))
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
