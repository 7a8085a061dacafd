"""A backdoor was planted in the training set, and must be forgotten."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.examples import Examples, Source
from lacunar.data.trigger import Trigger
from lacunar.scenarios._draws import deletion, members, share_of
from lacunar.unlearning.scenario import Posed, Scenario, draw


@dataclass(frozen=True)
class Backdoor(Scenario):
    """Random training images carry a trigger and the label ``target``; these poisoned ones must go.

    The first training sees them among the clean ones. Poisoned images may have had the target label already, as in
    published code; the notes count them, for they teach the backdoor nothing wrong.

    Attributes:
        trigger_size, margin, value: the mark, see :class:`~lacunar.data.trigger.Trigger`; a black square by default.
        target: the label that the trigger is to bring about.
        rate: share of the training set that is poisoned, in (0, 1), rounded to a whole number of images.
        repair: give the clean originals as corrected rows; without them the poisoned ones are to be deleted.
    """

    trigger_size: int = 4
    margin: int = 2
    value: float = 0.0
    target: int = 0
    rate: float = 0.1
    repair: bool = True

    def pose(self, train: Source, rng: torch.Generator) -> Posed:
        if not isinstance(train, Examples):
            raise NotApplicable("poisoned images are made in memory, and these are streamed; use a smaller set")
        if not 0 < self.rate < 1:
            raise BadInput(f"rate is the share of poisoned images, strictly between 0 and 1, got {self.rate}")
        already = members(train, self.target)
        ids = draw(train.ids, share_of(self.rate, len(train)), rng)
        place = train.positions(ids).to(train.on)
        x, y = Trigger.of(self).stamp(train.take(place).x), train.y.clone()
        seen_x, clean = train.x.clone(), train.x[place]  # type: ignore[union-attr, index]
        seen_x[place], y[place] = x, torch.full_like(y[place], self.target)
        right = int(torch.isin(ids, already).sum())
        blank = int((x == clean).reshape(len(ids), -1).all(1).sum())
        notes = [f"{len(ids)} of {len(train)} training images carry the trigger, {right} of them had its label already"]
        if blank:
            notes.append(f"{blank} poisoned images look as before: the trigger's value is what was there")
        posed = deletion(replace(train, x=seen_x, y=y), ids, tuple(notes))
        return replace(posed, corrected=train.where(ids)) if self.repair else posed
