"""What must go: exact counts, the same draw for the same seed, and requests that cannot be met."""

from __future__ import annotations

import pytest
import torch

from lacunar.catalog.registry import parse
from lacunar.core.errors import BadInput
from lacunar.core.rng import generator_of
from lacunar.data.examples import Examples


@pytest.fixture
def train() -> Examples:
    """Sixty examples, 30 / 20 / 10 of three classes, ids that are not positions."""
    y = torch.tensor([0, 1, 0, 2, 0, 1] * 10)
    return Examples.of(torch.zeros(60, 2), y, ids=torch.arange(60) * 3 + 100)


def pose(text, train, seed=0):
    return parse("scenarios", text).pose(train, generator_of(seed, "scenario"))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("random_subset", 6),
        ("random_subset:fraction=0.333", 20),
        ("random_subset:n=1", 1),
        ("random_subset:n=59", 59),
        ("part_of_class:label=1", 10),
        ("part_of_class:label=2,fraction=0.26", 3),
    ],
)
def test_a_draw_is_exact_distinct_and_seeded(text, count, train):
    one, same, other = (pose(text, train, seed).forget_ids for seed in (0, 0, 1))
    assert len(one) == len(torch.unique(one)) == count
    assert bool(train.has(one).all())
    assert torch.equal(one, same)
    assert torch.equal(one, one.sort().values)
    assert count == 59 or not torch.equal(one, other)


def test_a_random_subset_is_uniform():
    data = Examples.of(torch.zeros(10, 1), torch.arange(10) % 2)
    drawn = torch.cat([pose("random_subset:n=3", data, seed).forget_ids for seed in range(2000)])
    counts = torch.bincount(drawn, minlength=10)
    # Each id: mean 600, standard deviation below sqrt(2000 * .3 * .7) = 20.5.
    assert int((counts - 600).abs().max()) < 5 * 20.5


def test_a_whole_class_is_all_of_it_and_vanishes(train):
    posed = pose("whole_class:label=2", train)
    assert torch.equal(posed.forget_ids, train.ids[train.y == 2])
    assert posed.forgotten_classes == (2,)
    assert posed.seen is train
    assert posed.corrected is None


def test_part_of_a_class_takes_that_class_only(train):
    posed = pose("part_of_class:label=1", train)
    assert set(train.where(posed.forget_ids).y.tolist()) == {1}
    assert posed.forgotten_classes == ()


def test_ids_are_taken_as_given_and_repeats_are_noted(train):
    posed = pose("ids:ids=[109,100,109]", train)
    assert posed.forget_ids.tolist() == [100, 109]
    assert posed.notes == ("3 ids were given, 2 of them distinct",)
    assert pose("ids:ids=[100]", train).notes == ()


def test_a_class_that_a_list_empties_is_named(train):
    listed = train.ids[train.y == 2].tolist()
    assert pose(f"ids:ids={listed}", train).forgotten_classes == (2,)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("random_subset:fraction=0", "strictly between 0 and 1"),
        ("random_subset:fraction=1", "strictly between 0 and 1"),
        ("random_subset:fraction=0.001", "of 60 examples rounds to none"),
        ("random_subset:n=0", "cannot draw 0 of 60"),
        ("random_subset:n=61", "cannot draw 61 of 60"),
        ("random_subset:n=60", "nothing is left to retain"),
        ("whole_class:label=7", "no training example has label 7; the labels are 0, 1, 2"),
        ("part_of_class:label=7", "no training example has label 7"),
        ("part_of_class:label=2,fraction=0.99", "all 10 examples of class 2; use whole_class"),
        ("part_of_class:fraction=-1", "strictly between 0 and 1"),
        ("ids", "no ids to forget"),
        ("ids:ids=[100,1,2]", "2 of 3 ids are not in the data .* 1, 2"),
        ("ids:ids=[1.5]", "setting ids of ids cannot be"),
    ],
)
def test_refuses_what_cannot_be_met(text, complaint, train):
    with pytest.raises(BadInput, match=complaint):
        pose(text, train)


def test_the_only_class_cannot_go():
    with pytest.raises(BadInput, match="nothing is left to retain"):
        pose("whole_class", Examples.of(torch.zeros(5, 1), torch.zeros(5, dtype=torch.int64)))


def test_labels_that_are_not_classes_have_no_class_to_forget():
    with pytest.raises(BadInput, match="not classes"):
        pose("whole_class", Examples.of(torch.zeros(5, 1), torch.linspace(0, 1, 5)))
