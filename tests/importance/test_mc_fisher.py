from __future__ import annotations

import pytest

from lacunar.core import named
from lacunar.curvature import fisher
from lacunar.importance.mc_fisher import McFisher
from tests.importance.toy import assert_same, world


def test_sampled_labels_approach_the_true_fisher():
    here = world()
    exact = fisher.true(here.objective())
    assert_same(here.scores(McFisher(400)), exact, 0.1)
    with pytest.raises(AssertionError):
        assert_same(here.scores(McFisher(1)), exact, 0.1)


def test_labels_are_drawn_from_the_stream():
    here = world()
    one, same, other = (named.digest(here.scores(McFisher(), seed)) for seed in (0, 0, 1))
    assert one == same != other
