"""A case set up for its methods: its models come from the store, its judges share their logits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from lacunar.auditing.memory import Memory
from lacunar.auditing.models import OnDemand
from lacunar.auditing.oracles import oracle
from lacunar.auditing.trial import Trial
from lacunar.core.rng import generator_of
from lacunar.core.store import Store
from lacunar.data.data_set import Splits
from lacunar.data.examples import Source
from lacunar.lab.cell import Case, Cell
from lacunar.lab.experiment import Experiment
from lacunar.lab.outcomes import TOOK, outcome_of
from lacunar.sparsity.trainer import SparseTrainer
from lacunar.training.recipe import Recipe
from lacunar.training.trainer import StoreTrainer, Trained
from lacunar.unlearning.method import Method, Outcome
from lacunar.unlearning.problem import Problem
from lacunar.unlearning.scenario import Posed


@dataclass(frozen=True, eq=False)
class PreparedCase:
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

    def oracle(self, j: int) -> Trained:
        """The ``j``-th retrained model: the same recipe, under the same mask, with a seed of its own."""
        if j not in self._retrained:
            mask, title = None if self.case.pruner is None else self.original.mask, f"oracle {j + 1}"
            made = oracle(self.trainer, self.recipe, self.retained, self.case.seed, j, mask, title)
            self._retrained[j] = made
        return self._retrained[j]

    @cached_property
    def _retrained(self) -> dict[int, Trained]:
        return {}

    @cached_property
    def problem(self) -> Problem:
        """What a method gets; the validation part of the data is the judge's alone, and the tuning part its own."""
        return Problem.of(
            self.original.model,
            self.posed.seen,
            self.posed.forget_ids,
            self.recipe,
            self.case.seed,
            device=str(self.posed.seen.on),
            mask=self.original.mask,
            corrected=self.posed.corrected,
            tuning=self.posed.as_asked(self.splits.tuning),
        )

    @cached_property
    def _asked(self) -> tuple[Source, Source | None]:
        # One object each, since judges share logits by the examples they are of.
        test = self.posed.as_asked(self.splits.test)
        assert test is not None
        return test, self.posed.as_asked(self.splits.validation)

    @cached_property
    def _memory(self) -> Memory:
        return Memory()

    @cached_property
    def _at_hand(self) -> dict[Cell, Outcome]:
        return {}

    @cached_property
    def _told(self) -> set[Cell]:
        return set()

    def outcome(self, cell: Cell) -> tuple[Outcome, bool]:
        """What the cell left, and whether that was made anew and nobody was told yet; the last one is at hand."""
        made = False
        if cell not in self._at_hand:
            for before, outcome in self._at_hand.items():
                # What was read off originals and oracles serves all cells of the case.
                if before.method is not None:
                    self._memory.drop(outcome.model)
            self._at_hand.clear()
            self._at_hand[cell], made = self._oracle(cell) if cell.method is None else self._of_method(cell.method)
        made = made and cell not in self._told
        self._told.add(cell)
        return self._at_hand[cell], made

    def trial(self, cell: Cell) -> Trial:
        """What a judge gets to see of a cell; an oracle is compared with the others."""
        return Trial(
            self.outcome(cell)[0],
            *self._asked,
            OnDemand(lambda j: self.oracle(j).model, [j for j in range(self.experiment.oracles) if j != cell.oracle]),
            self.posed.forgotten_classes,
            self.case.seed,
            self.trainer,
            lambda method, problem, watch: outcome_of(self.store, method, problem)[0],
            self._memory,
        )

    def _of_method(self, method: Method) -> tuple[Outcome, bool]:
        return outcome_of(self.store, method, self.problem)

    def _oracle(self, cell: Cell) -> tuple[Outcome, bool]:
        assert cell.oracle is not None
        retrain = next(m for m in self.experiment.methods if m.name() == "retrain")
        oracle = self.oracle(cell.oracle)
        took = {name: oracle.about[name] for name in TOOK}
        notes = tuple(oracle.about["notes"])
        return Outcome(self.problem, retrain, oracle.model, oracle.mask, **took, notes=notes), oracle.made
