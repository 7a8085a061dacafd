"""All that a judge may know."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from lacunar.core.errors import BadInput
from lacunar.data.examples import Source
from lacunar.training.trainer import PlainTrainer, Trainer
from lacunar.unlearning.method import Outcome


@dataclass(frozen=True, eq=False)
class Trial:
    """All that a judge may know; it cannot change any of it.

    Attributes:
        outcome: the unlearned model and the problem it came from.
        test: what utility is judged on; never seen in training.
        held_out: held-out examples for attacks and controls, disjoint from ``test``.
        oracles: models trained by the same recipe on the retained examples, with different seeds.
        forgotten_classes: classes that disappear; left out of retained-class accuracies.
        seed: of the judge's own draws.
        trainer: makes the models that a judge needs besides these.
        memory: logits already computed, by model and examples; trials made from one another share it.
    """

    outcome: Outcome
    test: Source
    held_out: Source | None = None
    oracles: tuple[nn.Module, ...] = ()
    forgotten_classes: tuple[int, ...] = ()
    seed: int = 0
    trainer: Trainer = field(default_factory=PlainTrainer, repr=False)
    memory: dict[tuple[int, int], tuple[nn.Module, Source, Tensor]] = field(default_factory=dict, repr=False)
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
        key = (id(model), id(examples))
        if key not in self.memory:
            # Model and examples are kept beside their logits, so that no other object can take over their id.
            self.memory[key] = (model, examples, self.outcome.problem.recipe.predict(model, examples))
        return self.memory[key][2]

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
