"""A case set up for its methods: its models come from the store, its judges share their logits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from typing import Any

from torch import Tensor, nn

from lacunar.auditing.evaluator import Evaluator
from lacunar.auditing.oracles import oracle
from lacunar.auditing.trial import Trial
from lacunar.core.errors import LacunarError, NotApplicable
from lacunar.core.measurement import Measurement
from lacunar.core.rng import generator_of
from lacunar.core.store import Store
from lacunar.data.data_set import Splits
from lacunar.data.examples import Source
from lacunar.lab.experiment import Experiment
from lacunar.lab.plan import Case, Cell
from lacunar.sparsity.trainer import SparseTrainer
from lacunar.training.recipe import Recipe
from lacunar.training.trainer import StoreTrainer, Trained
from lacunar.unlearning.method import Outcome
from lacunar.unlearning.problem import Problem
from lacunar.unlearning.scenario import Posed


@dataclass(frozen=True, eq=False)
class Stage:
    """A case with everything that its methods share; each part is made when it is first asked for."""

    case: Case
    experiment: Experiment
    store: Store
    splits: Splits

    @cached_property
    def trainer(self) -> StoreTrainer:
        """How every model of the case is made."""
        return StoreTrainer(self.store)

    @cached_property
    def recipe(self) -> Recipe:
        """How the original was trained."""
        return self.experiment.recipe_for(self.case.model, self.splits)

    @cached_property
    def posed(self) -> Posed:
        """What must be forgotten: drawn by the seed of the case."""
        return self.case.scenario.pose(self.splits.train, generator_of(self.case.seed, "scenario"))

    @cached_property
    def original(self) -> Trained:
        """The model before unlearning."""
        seen, seed, pruner = self.posed.seen, self.case.seed, self.case.pruner
        if pruner is None:
            return self.trainer(self.recipe, seen, seed, title="original")
        sparse = SparseTrainer(self.trainer, pruner, self.experiment.rewind)
        return sparse(self.recipe, seen, seed, title="original")

    @cached_property
    def retained(self) -> Source:
        """What an oracle is trained on: all but the forgotten examples, corrected rows in their place."""
        left = self.posed.seen.without(self.posed.forget_ids)
        return left if self.posed.corrected is None else left + self.posed.corrected

    @cached_property
    def oracles(self) -> tuple[Trained, ...]:
        """All retrained models of the case."""
        return tuple(self.oracle(j) for j in range(self.experiment.oracles))

    def oracle(self, j: int) -> Trained:
        """The ``j``-th retrained model: the same recipe, under the same mask, with a seed of its own."""
        mask = None if self.case.pruner is None else self.original.mask
        return oracle(self.trainer, self.recipe, self.retained, self.case.seed, j, mask, f"oracle {j + 1}")

    @cached_property
    def problem(self) -> Problem:
        """What a method gets; the validation part of the data is the judge's alone."""
        return Problem.of(
            self.original.model,
            self.posed.seen,
            self.posed.forget_ids,
            self.recipe,
            self.case.seed,
            device=str(self.posed.seen.on),
            mask=self.original.mask,
            corrected=self.posed.corrected,
        )

    @cached_property
    def _asked(self) -> tuple[Source, Source | None]:
        # One object each, since judges share logits by the examples they are of.
        test = self.posed.as_asked(self.splits.test)
        assert test is not None
        return test, self.posed.as_asked(self.splits.validation)

    @cached_property
    def _memory(self) -> dict[tuple[int, int], tuple[nn.Module, Source, Tensor]]:
        return {}

    def trial(self, outcome: Outcome, oracles: tuple[Trained, ...]) -> Trial:
        """What a judge gets."""
        return Trial(
            outcome,
            *self._asked,
            tuple(oracle.model for oracle in oracles),
            self.posed.forgotten_classes,
            self.case.seed,
            self.trainer,
            self._memory,
        )

    def judged(self, cell: Cell) -> tuple[Outcome, tuple[Measurement, ...]]:
        """Run the method (an oracle has been trained already) and let every judge look at it."""
        if cell.method is not None:
            outcome, oracles = cell.method(self.problem), self.oracles
        else:
            assert cell.oracle is not None
            outcome = self._as_outcome(self.oracles[cell.oracle])
            oracles = tuple(o for j, o in enumerate(self.oracles) if j != cell.oracle)
        trial = self.trial(outcome, oracles)
        return outcome, tuple(m for judge in self.experiment.evaluators for m in _measured(judge, trial))

    def _as_outcome(self, oracle: Trained) -> Outcome:
        retrain = next(m for m in self.experiment.methods if m.name() == "retrain")
        took = {name: value for name, value in oracle.about.items() if name != "history"}
        return Outcome(self.problem, retrain, oracle.model, oracle.mask, **took)


def _measured(judge: Evaluator, trial: Trial) -> list[Measurement]:
    try:
        return [_finite(m) for m in judge.measure([trial])]
    except NotApplicable as error:
        return [Measurement(judge.name(), None, direction="information", note=f"not applicable: {error}")]
    except Exception as error:  # noqa: BLE001 - a failed measurement is shown, never dropped
        return [Measurement(judge.name(), None, direction="information", note=f"failed: {message(error)}")]


def _finite(m: Measurement) -> Measurement:
    ends: dict[str, Any] = {
        name: None for name in ("value", "low", "high", "target") if not isfinite(getattr(m, name) or 0.0)
    }
    return replace(m, **ends, note=f"{m.note} (not finite: {', '.join(ends)})".strip()) if ends else m


def message(error: Exception) -> str:
    """An error as a sentence; one that nobody raised on purpose begins with its type."""
    return str(error) if isinstance(error, LacunarError) else f"{type(error).__name__}: {error}"
