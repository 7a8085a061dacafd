from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits

from lacunar.catalog.registry import find, parse
from lacunar.core.errors import BadInput


def test_digits_are_scikit_learns():
    splits = find("datasets", "digits").load()
    assert (len(splits.train), len(splits.test)) == (1438, 359)
    assert splits.train.x.dtype == torch.uint8
    assert splits.train.x.shape[1:] == (1, 8, 8)
    levels = torch.cat([splits.train.x, splits.test.x]).flatten(1).float() * 16 / 255
    source = torch.tensor(load_digits().data, dtype=torch.float32)
    assert float((levels.round() - levels).abs().max()) < 0.04
    assert sorted(map(tuple, levels.round().int().tolist())) == sorted(map(tuple, source.int().tolist()))
    whole = torch.cat([splits.train.x, splits.test.x]).float() / 255
    assert splits.normalize == ((pytest.approx(float(whole.mean()), abs=1e-3),), (pytest.approx(0.376, abs=1e-3),))
    shares = [splits.test.class_counts()[c] / (splits.train.class_counts()[c]) for c in range(10)]
    assert shares == pytest.approx([0.25] * 10, abs=0.01)


def test_a_subset_is_balanced_stored_first_and_keeps_its_ids():
    whole = find("datasets", "digits").load().train
    part = find("datasets", "digits", n_train=103, n_test=20).load()
    assert sorted(part.train.class_counts().values()) == [10] * 7 + [11] * 3
    assert [part.train.class_counts()[c] for c in range(3)] == [11] * 3
    assert torch.equal(part.train.ids, part.train.ids.sort().values)
    assert torch.equal(whole.where(part.train.ids).x, part.train.x)
    first = (whole.y == 4).nonzero().reshape(-1)[:10]
    assert torch.equal(part.train.ids[part.train.y == 4], whole.ids[first])
    assert int(part.test.ids.min()) >= len(whole)


def test_validation_comes_out_of_the_training_subset_by_seed():
    first, same, other = (
        find("datasets", "digits", n_train=200, validation=0.25, seed=seed).load() for seed in (0, 0, 1)
    )
    assert (len(first.train), len(first.validation)) == (150, 50)
    assert set(first.validation.class_counts().values()) <= {4, 5, 6} and len(first.validation.class_counts()) == 10
    assert torch.equal(first.validation.ids, same.validation.ids)
    assert not torch.equal(first.validation.ids, other.validation.ids)
    assert torch.equal(first.test.ids, other.test.ids)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("digits:n_train=1430", "n_train=1430 needs 143 examples of class ., which has 1..; ask for at most 1390"),
        ("digits:n_test=0", "n_test must be at least 1"),
        ("digits:validation=1", "0 <= share < 1, got 1"),
        ("digits:validation=-0.1", "0 <= share < 1"),
        ("digits:n_train=20,validation=0.1", "would hold out 0 of the 2 examples of class 0"),
    ],
)
def test_refuses_what_cannot_be(text, complaint):
    with pytest.raises(BadInput, match=complaint):
        parse("datasets", text).load()
