"""Models beside the judged one: oracles, shadows, and oracles that went through the method; each is made on demand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias, overload

import torch
from torch import Tensor, nn

from lacunar.auditing.memory import Memory
from lacunar.core.errors import BadInput, LacunarError, NotApplicable
from lacunar.core.rng import generator_of, seed_of
from lacunar.training.trainer import Trainer
from lacunar.training.watch import Watch, Watches
from lacunar.unlearning.method import Method, Outcome
from lacunar.unlearning.problem import Problem

Run: TypeAlias = Callable[[Method, Problem, Watch], Outcome]
"""How a method is run on a problem: anew, or once and kept."""


def anew(method: Method, problem: Problem, watch: Watch) -> Outcome:
    """Run the method, whether it was run before or not."""
    return method(problem, watch)


class OnDemand(Sequence[nn.Module]):
    """Models of which only the number is known; each is made when it is first asked for.

    Args:
        make: makes the model of a position; it is called each time and remembers by itself.
        positions: those that there are.
    """

    def __init__(self, make: Callable[[int], nn.Module], positions: Sequence[int]) -> None:
        self._make, self._positions = make, tuple(positions)

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> nn.Module: ...
    @overload
    def __getitem__(self, index: slice) -> OnDemand: ...
    def __getitem__(self, index: int | slice) -> nn.Module | OnDemand:
        if isinstance(index, slice):
            return OnDemand(self._make, self._positions[index])
        return self._make(self._positions[index])


@dataclass(frozen=True, eq=False)
class Shadow:
    """A model that was trained by the recipe on a part of what the original saw.

    Attributes:
        member: per row of ``problem.seen`` whether it was trained on, bool ``[n]`` on the CPU.
    """

    model: nn.Module = field(repr=False)
    member: Tensor = field(repr=False)


@dataclass(frozen=True, eq=False)
class Models:
    """Models that a judge may compare with; each is made once for all trials that share a memory.

    Attributes:
        outcome: what was asked and what was run.
        oracles: trained by the recipe on what should have been trained on, with different seeds.
        trainer: makes shadows; run: runs the method.
    """

    outcome: Outcome
    oracles: Sequence[nn.Module]
    trainer: Trainer
    run: Run
    memory: Memory

    def shadows(self, count: int) -> tuple[Shadow, ...]:
        """The first ``count`` shadows, an even number: each row is a member of exactly half of them.

        They come in pairs, trained on a random half of the rows and on the other half; asking for more later leaves the
        first ones as they are.

        Raises:
            BadInput: an odd number, or none; NotApplicable: the recipe cannot train again.
        """
        if count < 2 or count % 2:
            raise BadInput(f"shadows come in pairs, so their number is even and at least 2, got {count}")
        if self.outcome.problem.recipe.build is None:
            raise NotApplicable("shadows are trained by the recipe, and it cannot train again; give build=")
        return tuple(self.memory.made(("shadow", i), partial(self._shadow, i)) for i in range(count))

    def through(
        self, count: int, watch: Watches = lambda title: Watch()
    ) -> tuple[tuple[nn.Module, ...], tuple[str, ...]]:
        """The first ``count`` oracles after the same method with the same settings, each with its own seed.

        An oracle on which the method fails (it may diverge there) is left out; a sentence for the reader says so.
        """
        spec, count = json.dumps(self.outcome.method.spec()), min(count, len(self.oracles))
        titles = [f"procedure on oracle {i + 1} of {count}" for i in range(count)]
        found = [
            self.memory.made(("through", spec, i), partial(self._through, i, watch, title))
            for i, title in enumerate(titles)
        ]
        models = tuple(model for model in found if isinstance(model, nn.Module))
        return models, tuple(trouble for trouble in found if isinstance(trouble, str))

    def _shadow(self, i: int) -> Shadow:
        problem = self.outcome.problem
        rows = torch.randperm(len(problem.seen), generator=generator_of(problem.seed, "shadow", i // 2))
        member = torch.zeros(len(rows), dtype=torch.bool)
        member[torch.tensor_split(rows, 2)[i % 2]] = True
        part, seed = problem.seen.take(member.nonzero().reshape(-1)), seed_of(problem.seed, "shadow model", i)
        trained = self.trainer(problem.recipe, part, seed, problem.mask, title=f"shadow {i + 1}")
        return Shadow(trained.model, member)

    def _through(self, i: int, watch: Watches, title: str) -> nn.Module | str:
        problem = self.outcome.problem
        posed = replace(problem, model=self.oracles[i], seed=seed_of(problem.seed, "procedure on oracle", i))
        try:
            return self.run(self.outcome.method, posed, watch(title)).model
        except LacunarError as error:
            return f"The method failed on oracle {i + 1}, which was left out: {error}."
