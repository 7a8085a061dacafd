from __future__ import annotations

import pytest

from lacunar.core.errors import BadInput
from tests.scenarios.toy import drawn, pose, sixty


@pytest.mark.parametrize(("text", "count"), [("part_of_class:label=1", 10), ("part_of_class:label=2,fraction=0.26", 3)])
def test_a_draw_is_exact_distinct_and_seeded(text, count):
    drawn(text, count)


def test_it_takes_that_class_only_and_the_class_stays():
    posed = pose("part_of_class:label=1", sixty())
    assert set(sixty().where(posed.forget_ids).y.tolist()) == {1}
    assert posed.forgotten_classes == () and posed.corrected is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("part_of_class:label=7", "no training example has label 7"),
        ("part_of_class:label=2,fraction=0.99", "all 10 examples of class 2; use whole_class"),
        ("part_of_class:label=2,fraction=0.01", "fraction=0.01 of 10 examples rounds to none"),
        ("part_of_class:fraction=-1", "strictly between 0 and 1"),
    ],
)
def test_refuses_what_cannot_be_met(text, complaint):
    with pytest.raises(BadInput, match=complaint):
        pose(text, sixty())
