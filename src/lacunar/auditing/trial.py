"""All that a judge may know."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from torch import Tensor, nn

from lacunar.auditing.memory import Memory
from lacunar.auditing.models import Models, Run, anew
from lacunar.core.errors import BadInput
from lacunar.data.examples import Source
from lacunar.training.trainer import PlainTrainer, Trainer
from lacunar.unlearning.method import Outcome

Signal: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Logits ``[n, ...]`` and labels ``[n, ...]`` to a row per example, ``[n, ...]``."""

LOGITS, LOSSES = "logits", "losses"


@dataclass(frozen=True, eq=False)
class Trial:
    """All that a judge may know; it cannot change any of it.

    Attributes:
        outcome: the unlearned model and the problem it came from.
        test: what utility is judged on; never seen in training.
        held_out: held-out examples for attacks and controls, disjoint from ``test``.
        oracles: models trained by the same recipe on the retained examples, with different seeds; perhaps on demand.
        forgotten_classes: classes that disappear; left out of retained-class accuracies.
        seed: of the judge's own draws.
        trainer: makes the models that a judge needs besides these; run: runs the method again, on other models.
        memory: what was read off models, and models made for judges; trials made from one another share it.
    """

    outcome: Outcome
    test: Source
    held_out: Source | None = None
    oracles: Sequence[nn.Module] = ()
    forgotten_classes: tuple[int, ...] = ()
    seed: int = 0
    trainer: Trainer = field(default_factory=PlainTrainer, repr=False)
    run: Run = field(default=anew, repr=False)
    memory: Memory = field(default_factory=Memory, repr=False)
    _others: dict[int, Trial] = field(default_factory=dict, init=False, repr=False)

    def part(self, split: str) -> Source:
        """The examples of "forget", "retain", "test" or "held_out".

        Raises:
            BadInput: there is no such part.
        """
        parts = {
            "forget": self.outcome.problem.forget,
            "retain": self.outcome.problem.retain,
            "test": self.test,
            "held_out": self.held_out,
        }
        if parts.get(split) is None:
            raise BadInput(f"this trial has no {split} examples")
        return parts[split]  # type: ignore[return-value]

    def logits(self, split: str) -> Tensor:
        """The model's logits on a part, ``[n, classes]`` float32 on the CPU: computed once, however many ask."""
        model, examples = self.outcome.model, self.part(split)
        return self.memory.read(model, examples, LOGITS, lambda: self.outcome.problem.recipe.predict(model, examples))

    def signal(self, split: str, of: Signal) -> Tensor:
        """What ``of`` makes of logits and labels, ``[n, ...]`` on the CPU: computed once, however many ask.

        From logits where they are at hand; else batch by batch, so that no more logits are kept than those of a batch.

        Args:
            of: a function of a module, such as :func:`lacunar.training.forward.margin`; row by row.
        """
        return self._reduced(split, of, of)

    def losses(self, split: str) -> Tensor:
        """The recipe's loss of each example of a part, ``[n]`` float64 on the CPU, as :meth:`signal`."""
        recipe = self.outcome.problem.recipe
        return self._reduced(split, LOSSES, lambda z, y: recipe.losses(z.double(), y).double())

    def _reduced(self, split: str, what: Hashable, of: Signal) -> Tensor:
        model, examples = self.outcome.model, self.part(split)

        def computed() -> Tensor:
            z = self.memory.known(model, examples, LOGITS)
            recipe = self.outcome.problem.recipe
            return recipe.predict(model, examples, of) if z is None else of(z, examples.y.cpu())

        return self.memory.read(model, examples, what, computed)

    @property
    def models(self) -> Models:
        """Oracles, shadows, and oracles that went through the method."""
        return Models(self.outcome, self.oracles, self.trainer, self.run, self.memory)

    def labels(self, split: str) -> Tensor:
        """The labels of a part, on the CPU."""
        return self.part(split).y.cpu()

    def seen_as(self, model: nn.Module) -> Trial:
        """The same trial of another model (an oracle, the original): one identical path for all."""
        if id(model) not in self._others:
            self._others[id(model)] = replace(self, outcome=self.outcome.with_model(model))
        return self._others[id(model)]

    def oracle_trials(self) -> list[Trial]:
        """Each oracle as a trial of its own."""
        return [self.seen_as(oracle) for oracle in self.oracles]

    def original(self) -> Trial:
        """The model before unlearning as a trial of its own."""
        return self.seen_as(self.outcome.problem.model)
