"""Training several things in turns, under one optimiser and one schedule."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.masks import Mask
from lacunar.core.rng import seed_of
from lacunar.data.batches import Batch, NamedBatches
from lacunar.data.examples import Source
from lacunar.data.pairing import Pair
from lacunar.training.accounting import Loss


@dataclass(frozen=True, eq=False)
class Turn:
    """One of several things that are trained in turns; see :func:`turns`.

    Attributes:
        source: what it is trained on.
        loss: what it minimises.
        epochs: in how many rounds it takes part, from the first one on, with one pass over ``source`` in each.
        where: the weights that may move in this turn; all others, their momentum included, stay bit-equal.
        name: of its loss in the history; empty for "turn 1", "turn 2", ...
    """

    source: Source | Pair
    loss: Loss = field(repr=False)
    epochs: int
    where: Mask | None = field(default=None, repr=False)
    name: str = ""

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise BadInput(f"a turn takes part in 0 or more rounds, got epochs={self.epochs}")


@dataclass(frozen=True)
class TurnBatch:
    """A batch and whose turn it is.

    Attributes:
        index: of the turn.
        batch: what its loss gets; ``progress`` and ``step`` are those of the whole, ``epoch`` counts its own passes.
        where: the weights that may move.
        epoch: the round.
    """

    index: int
    batch: Batch | NamedBatches
    where: Mask | None
    progress: float
    epoch: int
    step: int

    def __len__(self) -> int:
        return len(self.batch)

    @property
    def smallest(self) -> int:
        """The number of examples in the smallest stream."""
        return self.batch.smallest


@dataclass(frozen=True)
class Turns:
    """Turns as one source of batches, with the loss that belongs to them; see :func:`turns`."""

    parts: tuple[Turn, ...]

    @property
    def rounds(self) -> int:
        """How many rounds there are: the epochs of the turn that goes on longest."""
        return max(turn.epochs for turn in self.parts)

    def loss(self, model: nn.Module, batch: TurnBatch) -> Mapping[str, Tensor]:
        """The loss of the turn that the batch belongs to, under the turn's name."""
        turn = self.parts[batch.index]
        name, terms = turn.name or f"turn {batch.index + 1}", turn.loss(model, batch.batch)
        return {name: terms} if isinstance(terms, Tensor) else {f"{name}/{part}": t for part, t in terms.items()}

    def epoch_ends(self, size: int, epochs: int) -> list[int]:
        """How many steps have been made at the end of each round.

        Raises:
            BadInput: another number of epochs than there are rounds.
        """
        if epochs != self.rounds:
            raise BadInput(f"these turns have {self.rounds} rounds, but {epochs} epochs are asked for; make them equal")
        ends = dict.fromkeys(range(self.rounds), 0)
        for number, _, end in self._passes(size):
            ends[number] = end
        return list(ends.values())

    def batches(self, size: int, epochs: int = 1, seed: int | None = None, start: int = 0) -> Iterator[TurnBatch]:
        """In each round one pass over the source of each turn that takes part, from step ``start`` on."""
        total, began = self.epoch_ends(size, epochs)[-1], 0
        for number, index, end in self._passes(size):
            if end > start:
                first = max(start - began, 0)
                for batch in self._pass(index, number, size, seed, first):
                    step = began + batch.step - number * self.parts[index].source.steps(size)
                    now = step / total
                    own: Any = _placed(batch, now, step)
                    yield TurnBatch(index, own, self.parts[index].where, now, number, step)
            began = end

    def digest(self) -> str:
        """What identifies the examples and whose turn it is when, as a hex string."""
        parts = [
            f"{turn.source.digest()}|{turn.epochs}|{'' if turn.where is None else named.digest(turn.where)}"
            for turn in self.parts
        ]
        return hashlib.sha256("||".join(parts).encode()).hexdigest()

    def _passes(self, size: int) -> Iterator[tuple[int, int, int]]:
        """Round, turn, and how many steps have been made at the end of the pass."""
        steps = 0
        for number in range(self.rounds):
            for index, turn in enumerate(self.parts):
                if number < turn.epochs:
                    steps += turn.source.steps(size)
                    yield number, index, steps

    def _pass(self, index: int, number: int, size: int, seed: int | None, first: int) -> Iterator[Any]:
        own, source = None if seed is None else seed_of(seed, "turn", index), self.parts[index].source
        return source.batches(size, number + 1, own, number * source.steps(size) + first)


def turns(*parts: Turn) -> Turns:
    """Things trained in turns: in each round one pass for each turn that still takes part, in the order given.

    With ``turns(Turn(a, up, 2), Turn(b, down, 5))`` the first two rounds are a pass over ``a`` that minimises ``up``
    and one over ``b`` that minimises ``down``; the other three are a pass over ``b`` each. An epoch of the descent is a
    round, and optimiser, momentum and schedule go through all of them. Each turn has its own order of examples.

    Raises:
        BadInput: nothing that takes part in a round.
    """
    if not any(turn.epochs for turn in parts):
        raise BadInput("turns() got nothing to train: give it Turn(source, loss, epochs) with epochs of at least 1")
    return Turns(parts)


def _placed(batch: Batch | NamedBatches, progress: float, step: int) -> Batch | NamedBatches:
    if isinstance(batch, Batch):
        return replace(batch, progress=progress, step=step)
    parts = {name: replace(part, progress=progress, step=step) for name, part in batch.parts.items()}
    return replace(batch, parts=parts, progress=progress, step=step)
