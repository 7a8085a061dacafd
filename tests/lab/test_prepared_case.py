from __future__ import annotations

import pytest
import torch

from lacunar.core import named
from lacunar.core.store import Store
from lacunar.lab.cell import Cell, cases
from lacunar.lab.experiment import Experiment
from lacunar.lab.prepared_case import PreparedCase
from lacunar.training.recipe import Recipe


@pytest.fixture
def prepared(tiny_experiment, tmp_path):
    """Makes a case of the tiny experiment, drawn by a seed."""

    def make(seed: int = 0, *replaced: tuple[str, str]) -> PreparedCase:
        experiment = Experiment.read(tiny_experiment(("seeds = [0, 1, 2]", f"seeds = [{seed}]"), *replaced))
        (case,) = cases(experiment)
        return PreparedCase(case, experiment, Store(tmp_path / "store"), case.dataset.load())

    return make


def cell(prepared: PreparedCase, name: str) -> Cell:
    return Cell(prepared.case, next(m for m in prepared.experiment.methods if m.name() == name))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_forgotten_and_retained_was_trained_on_and_what_is_held_out_never(prepared, monkeypatch, seed):
    # Public code draws the split of the first training and that of the unlearning by different seeds: a tenth of what
    # it "forgets" was never seen, and validation examples were.
    seen, fit = [], Recipe.fit

    def noting(self, examples, seed, **more):
        seen.append(set(examples.ids.tolist()))
        return fit(self, examples, seed, **more)

    monkeypatch.setattr(Recipe, "fit", noting)
    case = prepared(seed)
    forget, retain = (set(part.ids.tolist()) for part in (case.problem.forget, case.problem.retain))
    (trained,) = seen
    assert forget | retain == trained and not forget & retain and len(forget) == 12
    trial = case.trial(cell(case, "do_nothing"))
    parts = [trained, *(set(trial.part(name).ids.tolist()) for name in ("held_out", "test"))]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 60 + 20 + 40


def test_methods_and_judges_share_no_held_out_example(prepared):
    case = prepared()
    trial = case.trial(cell(case, "do_nothing"))
    assert case.problem.tuning is None and len(trial.part("held_out")) == 20
    trained = set(case.problem.retain.ids.tolist()) | set(case.problem.forget.ids.tolist())
    parts = [trained, *(set(trial.part(name).ids.tolist()) for name in ("held_out", "test"))]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 60 + 20 + 40


def test_an_oracle_is_compared_with_the_others(prepared):
    case = prepared()
    first, second = (case.oracle(j) for j in range(2))
    assert list(case.trial(cell(case, "do_nothing")).oracles) == [first.model, second.model]
    trial = case.trial(Cell(case.case, oracle=0))
    assert trial.outcome.model is first.model and list(trial.oracles) == [second.model]
    assert trial.outcome.seconds == first.about["seconds"]


def test_an_oracle_is_trained_when_a_judge_looks_at_it(prepared, monkeypatch):
    case = prepared()
    trial = case.trial(cell(case, "do_nothing"))
    fits, fit = [], Recipe.fit
    monkeypatch.setattr(Recipe, "fit", lambda *given, **more: fits.append(1) or fit(*given, **more))
    assert len(trial.oracles) == 2 and fits == []
    assert len(trial.oracle_trials()) == len(fits) == 2


def test_what_judges_need_besides_is_kept_by_the_store(prepared):
    case = prepared()
    trial, again = (
        PreparedCase(case.case, case.experiment, case.store, case.splits).trial(cell(case, "fine_tune"))
        for _ in range(2)
    )
    through, _ = trial.models.through(1)
    calls = len(list(case.store.folder.iterdir()))
    same, _ = again.models.through(1)
    assert torch.equal(named.flat(named.weights(through[0])), named.flat(named.weights(same[0])))
    assert len(list(case.store.folder.iterdir())) == calls


def test_that_an_outcome_was_made_is_told_once(prepared):
    case = prepared()
    nothing, tuned = cell(case, "do_nothing"), cell(case, "fine_tune")
    assert [case.outcome(c)[1] for c in (nothing, nothing, tuned, nothing)] == [True, False, True, False]
    assert [case.outcome(Cell(case.case, oracle=0))[1] for _ in range(2)] == [True, False]
    again = PreparedCase(case.case, case.experiment, case.store, case.splits)
    assert not again.outcome(tuned)[1] and not again.outcome(Cell(case.case, oracle=0))[1]


def test_logits_are_shared_and_those_of_a_method_are_dropped_with_its_model(prepared):
    case = prepared()
    tuned, other = cell(case, "fine_tune"), cell(case, "do_nothing")
    trial = case.trial(tuned)
    own, oracle = trial.logits("test"), trial.oracle_trials()[0].logits("test")
    again = case.trial(tuned)
    assert again.logits("test") is own and again.oracle_trials()[0].logits("test") is oracle
    assert case.trial(other).oracle_trials()[0].logits("test") is oracle
    test = trial.part("test")
    assert trial.memory.known(trial.outcome.model, test, "logits") is None
    assert trial.memory.known(trial.oracles[0], test, "logits") is oracle


def test_methods_tune_on_a_part_that_nobody_else_sees(prepared):
    case, plain = prepared(0, ("validation=0.25", "validation=0.25,tuning=0.1")), prepared()
    trial = case.trial(cell(case, "do_nothing"))
    assert len(case.problem.tuning) == 9 and plain.problem.tuning is None
    assert trial.part("held_out").digest() == plain.splits.validation.digest()
    mine = case.problem.tuning.ids
    seen = [*(trial.part(name) for name in ("forget", "retain", "test", "held_out")), case.retained]
    assert not any(bool(part.has(mine).any()) for part in seen)
