from __future__ import annotations

import torch

from lacunar.core import named
from lacunar.importance.random import Random
from tests.importance.toy import world


def test_draws_are_uniform_in_the_unit_interval():
    drawn = torch.cat([named.flat(world().scores(Random(), seed)) for seed in range(50)])
    assert float(drawn.min()) >= 0 and float(drawn.max()) < 1
    # The mean of n uniform draws has the standard deviation sqrt(1 / 12 n).
    assert abs(float(drawn.mean()) - 0.5) < 5 * (12 * len(drawn)) ** -0.5


def test_the_seed_decides_and_nothing_is_drawn_twice():
    here = world()
    one, same, other = (named.digest(here.scores(Random(), seed)) for seed in (0, 0, 1))
    assert one == same != other
    drawn = named.flat(here.scores(Random()))
    assert len(torch.unique(drawn)) == len(drawn)


def test_scores_have_the_type_of_the_weights():
    assert {t.dtype for t in world().scores(Random()).values()} == {torch.float64}
