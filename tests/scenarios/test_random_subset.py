from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.data.examples import Examples
from tests.scenarios.toy import drawn, pose, sixty


@pytest.mark.parametrize(
    ("text", "count"),
    [("random_subset", 6), ("random_subset:fraction=0.333", 20), ("random_subset:n=1", 1), ("random_subset:n=59", 59)],
)
def test_a_draw_is_exact_distinct_and_seeded(text, count):
    drawn(text, count)


def test_a_random_subset_is_uniform():
    data = Examples.of(torch.zeros(10, 1), torch.arange(10) % 2)
    ids = torch.cat([pose("random_subset:n=3", data, seed).forget_ids for seed in range(2000)])
    counts = torch.bincount(ids, minlength=10)
    # Each id: mean 600, standard deviation below sqrt(2000 * .3 * .7) = 20.5.
    assert int((counts - 600).abs().max()) < 5 * 20.5


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("random_subset:fraction=0", "strictly between 0 and 1"),
        ("random_subset:fraction=1", "strictly between 0 and 1"),
        ("random_subset:fraction=0.001", "of 60 examples rounds to none"),
        ("random_subset:n=0", "cannot draw 0 of 60"),
        ("random_subset:n=61", "cannot draw 61 of 60"),
        ("random_subset:n=60", "nothing is left to retain"),
    ],
)
def test_refuses_what_cannot_be_met(text, complaint):
    with pytest.raises(BadInput, match=complaint):
        pose(text, sixty())
