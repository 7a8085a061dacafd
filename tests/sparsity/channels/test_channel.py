from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.sparsity.channels.channel import Part

T = torch.arange(24).reshape(2, 6, 2)


@pytest.mark.parametrize(
    ("dim", "repeat", "shape"), [(0, 1, (2, 12)), (1, 1, (6, 4)), (1, 3, (2, 12)), (2, 1, (2, 12))]
)
def test_rows_are_the_entries_of_each_channel(dim, repeat, shape):
    rows = Part("w", dim, repeat).rows(T)
    assert rows.shape == shape
    for c, row in enumerate(rows):
        places = range(c * repeat, (c + 1) * repeat)
        by_hand = torch.cat([T.select(dim, i).reshape(-1) for i in places])
        assert sorted(row.tolist()) == sorted(by_hand.tolist())


def test_channels_spread_over_the_entries_that_they_own():
    where = Part("w", 1, 3).where(torch.tensor([False, True]), T)
    assert where.shape == T.shape
    assert not where[:, :3].any() and where[:, 3:].all()
    assert torch.equal(Part("w", 1, 3).rows(where).all(1), torch.tensor([False, True]))


@pytest.mark.parametrize(("dim", "repeat"), [(-1, 1), (0, 0), (1, -2)])
def test_a_place_that_no_tensor_has_is_refused(dim, repeat):
    with pytest.raises(BadInput, match=f"w has no dimension {dim} with {repeat} places for each channel"):
        Part("w", dim, repeat)
