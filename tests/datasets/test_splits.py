from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.data.examples import Examples
from lacunar.datasets._splits import columns_named, numbered, splits, stratified, subset


def test_the_whole_number_of_examples_is_no_subset():
    examples = Examples.of(torch.zeros(5, 1), torch.tensor([0, 0, 0, 0, 1]))
    assert subset(examples, 5, "n_train") is examples


def test_stratified_parts_are_disjoint_and_complete():
    y = torch.tensor([0] * 10 + [1] * 6)
    drawn, rest = stratified(y, 1, test=0.5)
    assert torch.equal(torch.cat([drawn, rest]).sort().values, torch.arange(16))
    assert torch.bincount(y[drawn]).tolist() == [5, 3]


def examples(counts: list[int]) -> Examples:
    y = torch.cat([torch.full((n,), c) for c, n in enumerate(counts)])
    return numbered(torch.arange(len(y)).float()[:, None], y)


@pytest.mark.parametrize(("n", "taken"), [(4, [2, 1, 1]), (6, [2, 2, 2]), (8, [3, 3, 2])])
def test_a_subset_takes_the_first_of_each_class_and_the_rest_from_the_lowest_labels(n, taken):
    found = subset(examples([5, 4, 3]), n, "n_train")
    assert list(found.class_counts().values()) == taken
    assert found.ids.tolist() == [i for first, k in zip((0, 5, 9), taken, strict=True) for i in range(first, first + k)]


def test_a_further_share_leaves_the_draw_of_the_first_as_it_is():
    y = torch.tensor([0] * 10 + [1] * 6)
    alone, _ = stratified(y, 1, validation=0.5)
    held, tuned, rest = stratified(y, 1, validation=0.5, tuning=0.3)
    assert torch.equal(held, alone) and torch.bincount(y[tuned]).tolist() == [3, 2]
    assert torch.equal(torch.cat([held, tuned, rest]).sort().values, torch.arange(16))
    assert len(stratified(y, 1, validation=0.0, tuning=0.3)[0]) == 0


def test_shares_that_take_a_whole_class_are_refused():
    with pytest.raises(BadInput, match=r"tuning=0.5 would hold out 5 of the 5 examples of class 0"):
        stratified(torch.tensor([0] * 10 + [1] * 6), 1, validation=0.5, tuning=0.5)


def test_ids_go_on_from_the_first_that_is_given():
    assert numbered(torch.zeros(3, 1), torch.zeros(3), first_id=40).ids.tolist() == [40, 41, 42]


def test_the_validation_part_comes_out_of_the_training_subset():
    made = splits(
        examples([8, 8]), numbered(torch.zeros(2, 1), torch.arange(2), 16),
        n_train=8, n_test=None, validation=0.25, tuning=0.0, seed=0, classes=("a", "b"),
    )  # fmt: skip
    assert (len(made.train), len(made.validation), len(made.test)) == (6, 2, 2)
    assert sorted([*made.train.ids.tolist(), *made.validation.ids.tolist()]) == [0, 1, 2, 3, 8, 9, 10, 11]
    assert made.classes == ("a", "b") and made.normalize is None


@pytest.mark.parametrize(
    ("n", "sentence"),
    [
        (0, "n_train must be at least 1, or None for all examples, got 0"),
        (8, "n_train=8 needs 4 examples of class 1, which has 3; ask for at most 6, or None for all 9"),
    ],
)
def test_subsets_that_cannot_be(n, sentence):
    with pytest.raises(BadInput, match=sentence):
        subset(examples([6, 3]), n, "n_train")


@pytest.mark.parametrize("share", [1.0, 1.5, -0.2])
def test_a_share_is_at_least_nothing_and_less_than_all(share):
    with pytest.raises(BadInput, match=f"0 <= share < 1, got {share}"):
        stratified(torch.zeros(10), 0, validation=share)


def test_a_share_leaves_each_class_in_both_parts():
    with pytest.raises(BadInput, match=r"validation=0.9 would hold out 2 of the 2 examples of class 1"):
        stratified(torch.tensor([0] * 20 + [1] * 2), 0, validation=0.9)


def test_columns_are_found_by_name_and_near_names_are_suggested():
    features = ("age", "race=Black", "race=White")
    assert columns_named(features, ["race=White", "age"]) == (2, 0)
    with pytest.raises(BadInput, match=r"no column 'race=Whyte'; there are race=White, .* \(3 in all\)"):
        columns_named(features, ["race=Whyte"])
    with pytest.raises(BadInput, match="there are age, race=Black, race=White"):
        columns_named(features, ["zzz"])
