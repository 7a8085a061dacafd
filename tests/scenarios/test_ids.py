from __future__ import annotations

import pytest

from lacunar.core.errors import BadInput
from tests.scenarios.toy import pose, sixty


def test_ids_are_taken_as_given_and_repeats_are_noted():
    posed = pose("ids:ids=[109,100,109]", sixty())
    assert posed.forget_ids.tolist() == [100, 109]
    assert posed.notes == ("3 ids were given, 2 of them distinct",)
    assert pose("ids:ids=[100]", sixty()).notes == ()


def test_nothing_is_random():
    one, other = (pose("ids:ids=[109,100]", sixty(), seed) for seed in (0, 1))
    assert one.forget_ids.tolist() == other.forget_ids.tolist() == [100, 109]


def test_a_class_that_a_list_empties_is_named():
    train = sixty()
    listed = train.ids[train.y == 2].tolist()
    assert pose(f"ids:ids={listed}", train).forgotten_classes == (2,)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("ids", "no ids to forget"),
        ("ids:ids=[100,1,2]", "2 of 3 ids are not in the data .* 1, 2"),
        ("ids:ids=[1.5]", "setting ids of ids cannot be"),
    ],
)
def test_refuses_what_cannot_be_met(text, complaint):
    with pytest.raises(BadInput, match=complaint):
        pose(text, sixty())
