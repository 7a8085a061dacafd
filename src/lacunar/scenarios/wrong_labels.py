"""Some training labels were wrong, and are to be put right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.examples import Source
from lacunar.scenarios._draws import share_of
from lacunar.unlearning.scenario import Posed, Scenario, draw

CHUNK = 4096


@dataclass(frozen=True)
class WrongLabels(Scenario):
    r"""The first training sees wrong labels on some examples; the corrected rows have the true ones.

    Attributes:
        fraction: share of the training set that is mislabelled, in (0, 1), rounded to a whole number of examples.
        n: that many examples instead of a share; never fewer.
        flip: "pair" turns class s into C - 1 - s and takes equally many of each class, as published; "random" takes any
            examples and a uniform other label; "max_loss" takes any examples and the label that fits least.
        classes: C; None for the largest label + 1.

    Departures from the paper: "max_loss" asks Gaussian classes of equal, isotropic variance fitted to the clean data
    instead of a trained net, so the label is that of the farthest class mean; it needs no training and no settings.
    """

    fraction: float = 0.1
    n: int | None = None
    flip: Literal["pair", "random", "max_loss"] = "pair"
    classes: int | None = None

    def pose(self, train: Source, rng: torch.Generator) -> Posed:
        counts = train.class_counts()
        if not counts:
            raise BadInput("the labels of these data are not classes, so none can be wrong; use bad_features or ids")
        classes = self.classes or max(counts) + 1
        if classes < max(2, max(counts) + 1):
            raise BadInput(f"labels run to {max(counts)}, so there are at least {max(2, max(counts) + 1)} classes")
        budget = share_of(self.fraction, len(train)) if self.n is None else self.n
        if self.flip == "pair":
            taken = _allotted(budget, {c: k for c, k in counts.items() if c != classes - 1 - c})
            ids = torch.cat([draw(train.ids[train.y == c], k, rng) for c, k in taken.items() if k]).sort().values
        else:
            ids = draw(train.ids, budget, rng)
        place = train.positions(ids).to(train.y.device)
        y = train.y.clone()
        y[place] = self._wrong(train, place, classes, rng).to(y)
        notes = [f"{budget} of {len(train)} training labels are wrong ({self.flip})"]
        if self.flip == "pair" and classes % 2 and classes // 2 in counts:
            notes.append(f"class {classes // 2} is its own pair and has no wrong label")
        return Posed(ids, train.labelled(y), corrected=train.where(ids), notes=tuple(notes))

    def _wrong(self, train: Source, place: Tensor, classes: int, rng: torch.Generator) -> Tensor:
        true = train.y[place].long()
        if self.flip == "pair":
            return classes - 1 - true
        if self.flip == "random":
            step = torch.randint(1, classes, (len(true),), generator=rng).to(true.device)
            return (true + step) % classes
        return _farthest(train, place)


def _allotted(budget: int, room: dict[int, int]) -> dict[int, int]:
    """``budget`` over classes, as equally as their sizes allow; a rest goes to the lowest labels."""
    if not 0 < budget <= sum(room.values()):
        raise BadInput(f"cannot give {budget} wrong labels: {sum(room.values())} examples have a pair class")
    taken = dict.fromkeys(room, 0)
    left = budget
    while left:
        wanting = [c for c in room if taken[c] < room[c]]
        each = max(left // len(wanting), 1)
        for c in wanting:
            more = min(each, room[c] - taken[c], left)
            taken[c] += more
            left -= more
    return taken


def _farthest(train: Source, place: Tensor) -> Tensor:
    labels = torch.unique(train.y)
    sums: Tensor | None = None
    for at in torch.split(torch.arange(len(train)), CHUNK):
        x, own = _flat(train, at), (train.y[at.to(train.y.device)][:, None] == labels).double()
        sums = own.T @ x if sums is None else sums + own.T @ x
    assert sums is not None
    means = sums / (train.y[:, None] == labels).sum(0)[:, None]
    return torch.cat([labels[torch.cdist(_flat(train, at), means).argmax(1)] for at in torch.split(place.cpu(), CHUNK)])


def _flat(train: Source, at: Tensor) -> Tensor:
    x = train.inputs_at(at.to(train.y.device))
    if not isinstance(x, Tensor):
        raise NotApplicable(
            'flip="max_loss" measures distances of inputs, and these are a dict; use "pair" or "random"'
        )
    return x.reshape(len(at), -1).double()
