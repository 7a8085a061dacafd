from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import nn

from lacunar.core import named
from lacunar.core.errors import BadInput, Diverged, LacunarError, NotApplicable
from lacunar.core.files import read_json
from lacunar.core.weights import load_mask, load_model
from lacunar.data.ids import ids_digest
from lacunar.methods.controls.do_nothing import DoNothing
from lacunar.methods.fine_tuning.fine_tune import FineTune
from lacunar.training.callbacks import Callback
from lacunar.training.watch import Watch
from lacunar.unlearning.method import Method
from lacunar.unlearning.problem import Problem
from tests import problems


def model():
    torch.manual_seed(0)
    return nn.Linear(4, 3)


@dataclass(frozen=True)
class Rogue(Method):
    """Moves every weight, whatever the problem says."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset()
    swap: bool = False

    def unlearn(self, model, problem):
        named.write(model, {n: w + 1 for n, w in named.weights(model).items()})
        return nn.Linear(2, 2) if self.swap else model


def test_a_method_that_breaks_its_contract_is_caught(tiny):
    where = {"weight": torch.ones(3, 4).bool(), "bias": torch.zeros(3).bool()}
    problem = Problem.of(model(), tiny, [5], device="cpu")
    Rogue()(problem)
    with pytest.raises(LacunarError, match="rogue moved a weight in bias that lies outside where="):
        Rogue()(replace(problem, where=where))
    pruned = model()
    named.write(pruned, {"bias": torch.zeros(3)})
    with pytest.raises(LacunarError, match="rogue moved a pruned weight in bias"):
        Rogue()(Problem.of(pruned, tiny, [5], device="cpu", mask=where))
    biased = Problem.of(nn.Sequential(model()), tiny, [5], device="cpu")
    with pytest.raises(LacunarError, match="other weights than it was given"):
        Rogue(swap=True)(biased)


@dataclass(frozen=True)
class Blowing(Method):
    """Leaves one number that is none."""

    paper = "none"
    needs = frozenset()
    part: str = "weight"
    number: str = "nan"

    def unlearn(self, model, problem):
        with torch.no_grad():
            model.state_dict()[self.part].view(-1)[0] = float(self.number)
        return model


@pytest.mark.parametrize("number", ["nan", "inf"])
@pytest.mark.parametrize("part", ["1.bias", "1.running_var"])
def test_a_result_that_is_not_finite_is_no_result(tiny, part, number):
    normal = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    problem = Problem.of(normal, tiny, [5], device="cpu")
    with pytest.raises(Diverged, match=f"blowing ended in NaN or infinity in {part}: there is no result"):
        Blowing(part, number)(problem)


class Uncopyable(nn.Linear):
    def __deepcopy__(self, memo):
        raise RuntimeError("only leaf tensors can be copied")


def test_models_that_cannot_be_copied_get_a_sentence(tiny):
    problem = Problem.of(Uncopyable(4, 3), tiny, [5], device="cpu")
    with pytest.raises(BadInput, match="cannot be copied"):
        DoNothing()(problem)


def test_outcomes_are_saved_without_samples_or_ids(tmp_path):
    problem = problems.problem("vectors", masked=True)
    outcome = FineTune(epochs=2, batch_size=8)(problem)
    folder = outcome.save(tmp_path / "r1")
    assert sorted(p.name for p in folder.iterdir()) == ["mask.safetensors", "model.safetensors", "outcome.json"]
    saved = read_json(folder / "outcome.json")
    assert saved["method"] == {"name": "fine_tune", "settings": outcome.method.settings()}
    assert saved["forget"] == {"count": 9, "ids_sha256": ids_digest(problem.forget.ids)}
    assert saved["steps"] == 10 and len(saved["history"]) == 2 and saved["seconds"] > 0
    again = load_model(folder / "model.safetensors", copy.deepcopy(problem.model))
    assert named.digest(again.state_dict()) == named.digest(outcome.model.state_dict())
    mask = load_mask(folder / "mask.safetensors")
    assert all(torch.equal(mask[n], m) for n, m in problem.mask.items())


@dataclass(frozen=True)
class Drawing(Method):
    """Draws globally, turns grad mode off, and tells what it saw."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset({"retain"})

    def unlearn(self, model, problem):
        torch.set_grad_enabled(False)
        problem.log.notes.append("drawn")
        problem.log.facts["draw"] = float(torch.rand(()))
        return model.train()


def test_a_method_draws_from_the_problems_seed_and_leaves_no_trace(tiny):
    problem = Problem.of(model(), tiny, [5], device="cpu")
    state = torch.get_rng_state()
    one, same, other = (Drawing()(replace(problem, seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state) and torch.is_grad_enabled()
    assert one.facts == same.facts != other.facts and one.notes[0] == "drawn"
    assert not one.model.training


def test_what_a_method_needs_is_asked_for_before_anything_is_done(tiny):
    nothing = problems.with_parts(Problem.of(model(), tiny, [5], device="cpu"), retain=tiny.take(torch.arange(0)))
    with pytest.raises(NotApplicable, match="drawing needs retained"):
        Drawing()(nothing)


def test_a_method_may_be_given_its_own_watch():
    class Counts(Callback):
        epochs = 0

        def on_epoch(self, loop):
            self.epochs += 1

    problem, counts = problems.problem("vectors"), Counts()
    FineTune(epochs=3, batch_size=8)(problem, Watch(callbacks=[counts]))
    assert counts.epochs == 3


@dataclass(frozen=True)
class Grows(Method):
    """Comes back with a weight more."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset()
    adds_weights: ClassVar[bool] = True

    def unlearn(self, model, problem):
        model.more = nn.Parameter(torch.ones(2))
        return model


def test_only_a_method_that_says_so_may_add_weights(tiny):
    @dataclass(frozen=True)
    class Silent(Grows):
        adds_weights: ClassVar[bool] = False

    problem = Problem.of(model(), tiny, [5], device="cpu")
    assert Grows()(problem).model.more.tolist() == [1, 1]
    with pytest.raises(LacunarError, match="silent returned a model with other weights"):
        Silent()(problem)


def test_pruned_weights_may_come_back_only_under_a_mask_that_the_method_gives(tiny):
    @dataclass(frozen=True)
    class Fills(Rogue):
        keeps_mask: ClassVar[bool] = False
        own: bool = False

        def unlearn(self, model, problem):
            if self.own:
                problem.log.mask = problem.mask
            return super().unlearn(model, problem)

    pruned = model()
    named.write(pruned, {"bias": torch.zeros(3)})
    mask = {"weight": torch.ones(3, 4).bool(), "bias": torch.zeros(3).bool()}
    problem = Problem.of(pruned, tiny, [5], device="cpu", mask=mask)
    assert bool(Fills()(problem).model.bias.any())
    with pytest.raises(LacunarError, match="fills moved a pruned weight in bias"):
        Fills(own=True)(problem)


def test_an_outcome_seen_with_another_model_is_else_the_same():
    outcome = DoNothing()(problems.problem("vectors"))
    other = outcome.problem.recipe.fresh(3)
    seen = outcome.with_model(other)
    assert seen.model is other and seen.problem is outcome.problem and outcome.model is not other


def test_a_method_that_moved_nothing_is_noted(digits):
    problem = digits.problem(digits.flipped)
    assert "do_nothing changed no weight at all: the result is the original model" in DoNothing()(problem).notes
    assert not any("changed no weight" in note for note in FineTune(epochs=1)(problem).notes)
