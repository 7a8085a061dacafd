from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.examples import Examples
from tests.scenarios.toy import classes, pose


@pytest.mark.parametrize(
    ("counts", "budget", "taken"),
    [
        ([10, 10, 10, 10], 8, [2, 2, 2, 2]),
        ([10, 10, 10, 10], 10, [3, 3, 2, 2]),  # a rest goes to the lowest labels
        ([10, 10, 10, 10, 10], 8, [2, 2, 0, 2, 2]),  # the middle class is its own pair
        ([2, 10, 10, 10], 14, [2, 4, 4, 4]),  # a small class gives what it has, the others more
        ([2, 10, 10, 10], 32, [2, 10, 10, 10]),
    ],
)
def test_pair_flips_are_exact(counts, budget, taken):
    train = classes(counts)
    posed = pose(f"wrong_labels:n={budget}", train)
    true, seen = posed.corrected.y, posed.seen.where(posed.forget_ids).y
    assert torch.bincount(true, minlength=len(counts)).tolist() == taken
    assert torch.equal(seen, len(counts) - 1 - true)
    assert torch.equal(posed.corrected.y, train.where(posed.forget_ids).y)
    assert ("own pair" in posed.notes[-1]) == (len(counts) == 5)


def test_random_flips_are_uniform_over_other_labels():
    train = classes([500, 500, 500])
    posed = pose("wrong_labels:flip=random,fraction=0.8", train)
    step = (posed.seen.where(posed.forget_ids).y - posed.corrected.y) % 3
    assert len(step) == 1200 and set(step.tolist()) == {1, 2}
    assert abs(int((step == 1).sum()) - 600) < 5 * (1200 / 4) ** 0.5


def test_max_loss_takes_the_farthest_class():
    posed = pose("wrong_labels:flip=max_loss,n=9", classes([20, 20, 20]))
    seen = dict(zip(posed.corrected.y.tolist(), posed.seen.where(posed.forget_ids).y.tolist(), strict=True))
    assert seen[0] == 2 and seen[2] == 0


@pytest.mark.parametrize(
    ("text", "train", "error", "sentence"),
    [
        ("wrong_labels:n=31", classes([10, 10, 10, 0]), BadInput, "cannot give 31 wrong labels: 20 examples"),
        ("wrong_labels:n=0", classes([10, 10]), BadInput, "cannot give 0"),
        ("wrong_labels:fraction=1.5", classes([10, 10]), BadInput, "strictly between 0 and 1"),
        ("wrong_labels:classes=2", classes([3, 3, 3]), BadInput, "at least 3 classes"),
        ("wrong_labels", Examples.of(torch.zeros(4, 1), torch.rand(4)), BadInput, "not classes"),
        (
            "wrong_labels:flip=max_loss",
            Examples.of({"a": torch.ones(20)}, torch.arange(20) % 2),
            NotApplicable,
            "a dict",
        ),
    ],
)
def test_what_cannot_be_posed(text, train, error, sentence):
    with pytest.raises(error, match=sentence):
        pose(text, train)
