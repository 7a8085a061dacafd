from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.data.examples import Examples
from lacunar.scenarios._draws import deletion, members, share_of
from tests.scenarios.toy import sixty


def test_a_deletion_names_the_classes_of_which_nothing_is_left():
    train = sixty()
    posed = deletion(train, train.ids[train.y > 0], ("said",))
    assert posed.forgotten_classes == (1, 2) and posed.notes == ("said",) and posed.seen is train
    assert deletion(train, train.ids[:1]).forgotten_classes == ()
    with pytest.raises(BadInput, match="all 60 training examples are to be forgotten"):
        deletion(train, train.ids)
    with pytest.raises(BadInput, match="1 of 1 ids are not in the data"):
        deletion(train, torch.tensor([1]))


@pytest.mark.parametrize(("fraction", "n", "count"), [(0.1, 60, 6), (0.25, 10, 2), (0.35, 10, 4), (0.99, 10, 10)])
def test_a_share_is_rounded_to_the_nearest_number(fraction, n, count):
    assert share_of(fraction, n) == count


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_is_neither_nothing_nor_all(fraction):
    with pytest.raises(BadInput, match="fraction must lie strictly between 0 and 1"):
        share_of(fraction, 10)


def test_a_share_so_small_that_nothing_is_drawn_is_refused():
    with pytest.raises(BadInput, match=r"fraction=0.01 of 10 examples rounds to none; ask for a larger share"):
        share_of(0.01, 10)


def test_members_are_in_stored_order():
    train = sixty().take(torch.arange(59, -1, -1))
    assert members(train, 2).tolist() == [100 + 3 * i for i in range(57, 0, -6)]
    with pytest.raises(BadInput, match="no training example has label 3; the labels are 0, 1, 2"):
        members(train, 3)
    for labels in (torch.rand(4), torch.zeros(4, 2)):
        with pytest.raises(BadInput, match="not classes, so no class can be forgotten; use random_subset or ids"):
            members(Examples.of(torch.zeros(4, 1), labels), 0)
