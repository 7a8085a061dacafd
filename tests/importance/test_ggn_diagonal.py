from __future__ import annotations

import pytest

from lacunar.core import named
from lacunar.curvature import fisher
from lacunar.importance.ggn_diagonal import GgnDiagonal
from tests.importance.toy import assert_same, stream, world


def test_exact_is_the_true_fisher_and_signs_approach_it():
    here = world()
    exact = fisher.true(here.objective())
    assert_same(here.scores(GgnDiagonal("exact")), exact)
    assert_same(here.scores(GgnDiagonal(probes=400)), exact, 0.1)
    with pytest.raises(AssertionError):
        assert_same(here.scores(GgnDiagonal()), exact, 0.1)


@pytest.mark.parametrize("score", [GgnDiagonal(), GgnDiagonal("exact")], ids=["signs", "exact"])
def test_it_does_not_see_wrong_labels(score):
    # So for label edits it cannot tell which labels were wrong; and it can be computed before any request.
    here = world()
    turned = here.kept.labelled((here.kept.y + 1) % 3)
    again = score.scores(here.model, turned, here.recipe, stream(5))
    assert named.digest(again) == named.digest(here.scores(score))


def test_signs_are_drawn_from_the_stream():
    here = world()
    one, same, other = (named.digest(here.scores(GgnDiagonal(), seed)) for seed in (0, 0, 1))
    assert one == same != other
