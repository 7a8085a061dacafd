from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.examples import Examples
from lacunar.data.stream import Stream
from tests.scenarios.toy import classes, pose


def test_columns_become_zero_where_there_was_an_entry():
    train = classes([6, 6])
    train.x[::3, 1] = 0
    posed = pose("bad_features:columns=[1]", train)
    assert posed.seen is train and posed.zeroed == (1,)
    assert torch.equal(posed.forget_ids, train.ids[train.x[:, 1] != 0])
    assert not posed.corrected.x[:, 1].any()


def test_columns_are_drawn_without_replacement():
    train = Examples.of(torch.ones(4, 10), torch.arange(4) % 2)
    drawn = [pose("bad_features:columns=[1,3,5,7,9],q=3", train, seed).zeroed for seed in range(30)]
    assert all(len(set(d)) == 3 and set(d) <= {1, 3, 5, 7, 9} for d in drawn) and len(set(drawn)) > 5


@pytest.mark.parametrize(
    ("text", "train", "error", "sentence"),
    [
        ("bad_features", classes([5, 5]), BadInput, "there are no columns to remove"),
        ("bad_features:columns=[1,0,1]", classes([5, 5]), BadInput, "repeats 1"),
        ("bad_features:columns=[0],q=2", classes([5, 5]), BadInput, "cannot draw 2 of 1"),
        ("bad_features:columns=[2]", classes([5, 5]), BadInput, "2 are not columns"),
    ],
)
def test_what_cannot_be_posed(text, train, error, sentence):
    with pytest.raises(error, match=sentence):
        pose(text, train)


def test_data_that_are_read_on_demand_are_refused():
    stream = Stream([(torch.ones(2), 0)] * 4, torch.arange(4), torch.arange(4) % 2, torch.arange(4))
    with pytest.raises(NotApplicable, match="in memory; these are read on demand"):
        pose("bad_features:columns=[1]", stream)
