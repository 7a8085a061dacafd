import pytest
import torch

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.methods.ascent.grad_ascent import GradAscent
from lacunar.training.checkpoint import Checkpoints
from lacunar.training.guard import Guard
from lacunar.training.watch import Watch


def accuracy(problem, model):
    z = problem.recipe.predict(model, problem.retain)
    return float((z.argmax(1) == problem.retain.y).double().mean())


def test_guard_stops_and_rolls_back_to_the_last_good_epoch(digits):
    problem = digits.problem(digits.flipped)
    harsh = GradAscent(epochs=8, lr=0.02, batch_size=16)
    unguarded = harsh(problem)
    guard = Guard(problem.retain, problem.recipe.prepare, drop=0.2)
    guarded = harsh(problem, Watch(callbacks=[guard]))
    start = accuracy(problem, problem.model)
    assert accuracy(problem, unguarded.model) < start - 0.2 <= accuracy(problem, guarded.model)
    assert any("rolled back to the last good epoch" in note for note in guarded.notes)
    assert guarded.steps < unguarded.steps


def test_guard_stays_silent_when_nothing_falls(digits):
    problem = digits.problem(digits.flipped)
    guard = Guard(problem.retain, problem.recipe.prepare, drop=0.5)
    mild = GradAscent(epochs=2, lr=1e-5)
    plain, guarded = mild(problem), mild(problem, Watch(callbacks=[guard]))
    assert named.digest(plain.model.state_dict()) == named.digest(guarded.model.state_dict())


def test_guard_survives_a_resume(digits, tmp_path):
    problem = digits.problem(digits.flipped)
    guard = Guard(problem.retain, problem.recipe.prepare, drop=0.2)
    watch = Watch(callbacks=[guard], checkpoints=Checkpoints(tmp_path, 0.0))
    harsh = GradAscent(epochs=8, lr=0.02, batch_size=16)
    expected = harsh(problem, Watch(callbacks=[replace_guard(guard)]))
    outcome = harsh(problem, watch)
    assert named.digest(outcome.model.state_dict()) == named.digest(expected.model.state_dict())
    again = Guard(problem.retain, problem.recipe.prepare)
    again.restore(guard.state())
    assert torch.equal(again.state()["start"], guard.state()["start"])


def replace_guard(guard):
    return Guard(guard.examples, guard.prepare, guard.drop)


def test_guard_checks_its_threshold(digits):
    with pytest.raises(BadInput, match="share of examples"):
        Guard(digits.train, digits.recipe.prepare, drop=20)
