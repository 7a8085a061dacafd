"""A planted backdoor."""

from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.data import corrections
from lacunar.data.examples import Examples
from lacunar.data.stream import Stream
from lacunar.data.trigger import Trigger
from lacunar.scenarios.backdoor import Backdoor
from lacunar.unlearning.problem import Problem
from tests import problems


def images(n: int = 60) -> Examples:
    g = torch.Generator().manual_seed(0)
    x = torch.randint(1, 256, (n, 1, 8, 8), generator=g, dtype=torch.uint8)
    return Examples.of(x, torch.arange(n) % 4, ids=torch.arange(n) * 2 + 7)


def test_poisons_exactly_the_share_and_leaves_the_rest():
    train = images()
    before = train.digest()
    posed = Backdoor(rate=0.2, target=3).pose(train, generator_of(0))
    assert len(posed.forget_ids) == 12 and train.digest() == before
    poisoned, clean = posed.seen.where(posed.forget_ids), train.where(posed.forget_ids)
    assert torch.equal(poisoned.x, Trigger().stamp(clean.x)) and set(poisoned.y.tolist()) == {3}
    assert torch.equal(posed.seen.ids, train.ids)
    rest = posed.seen.without(posed.forget_ids)
    assert rest.digest() == train.without(posed.forget_ids).digest()
    assert posed.corrected.digest() == clean.digest()
    assert torch.equal(corrections.differing(posed.seen, posed.corrected), posed.forget_ids)
    assert posed.forgotten_classes == ()


def test_images_of_the_target_class_are_poisoned_too_and_counted():
    train = images()
    posed = Backdoor(rate=0.5, target=1).pose(train, generator_of(0))
    right = int((train.where(posed.forget_ids).y == 1).sum())
    assert right > 0
    assert posed.notes == (f"30 of 60 training images carry the trigger, {right} of them had its label already",)


def test_a_trigger_that_cannot_be_seen_is_noted():
    train = images()
    train.x[:30, :, -6:-2, -6:-2] = 0
    posed = Backdoor(rate=0.5).pose(train, generator_of(0))
    blank = int((train.where(posed.forget_ids).x[:, 0, 4, 4] == 0).sum())
    assert posed.notes[1] == f"{blank} poisoned images look as before: the trigger's value is what was there"


def test_repair_can_be_left_out_and_draws_are_seeded():
    train = images()
    one, two, other = (Backdoor(repair=False).pose(train, generator_of(seed)) for seed in (0, 0, 1))
    assert one.corrected is None
    assert torch.equal(one.forget_ids, two.forget_ids) and not torch.equal(one.forget_ids, other.forget_ids)


def test_makes_a_problem_whose_model_saw_the_poison():
    posed = Backdoor().pose(images(), generator_of(0))
    recipe = problems.Recipe(problems.BatchNormNet, epochs=1, batch_size=16)
    posed_problem = Problem.of(
        recipe.fit(posed.seen, 0), posed.seen, posed.forget_ids, recipe, corrected=posed.corrected, device="cpu"
    )
    assert set(posed_problem.forget.y.tolist()) == {0} and len(posed_problem.retain) == 54


def test_refusals():
    train = images()
    with pytest.raises(BadInput, match="rate is the share of poisoned images"):
        Backdoor(rate=1.0).pose(train, generator_of(0))
    with pytest.raises(BadInput, match="no training example has label 9"):
        Backdoor(target=9).pose(train, generator_of(0))
    with pytest.raises(NotApplicable, match="is stamped on images"):
        Backdoor().pose(Examples.of(torch.zeros(20, 5), torch.arange(20) % 2), generator_of(0))
    streamed = Stream([(torch.zeros(1, 8, 8), 0)] * 20, torch.arange(20), torch.arange(20) % 2, torch.arange(20))
    with pytest.raises(NotApplicable, match="these are streamed"):
        Backdoor().pose(streamed, generator_of(0))
