from __future__ import annotations

import math

import pytest
import torch

from lacunar.catalog.registry import find, from_spec, parse
from lacunar.core.errors import BadInput


def test_classes_are_as_far_apart_as_asked():
    splits = find("datasets", "synthetic", n_train=8000, separation=5.0, seed=3).load()
    x, y = splits.train.x, splits.train.y
    centres = torch.stack([x[y == c].mean(0) for c in range(4)])
    distances = torch.pdist(centres)
    # Each centre is a mean of 2,000 draws in 20 dimensions.
    assert distances.tolist() == pytest.approx([5.0] * 6, abs=0.25)
    assert float((x - centres[y]).std()) == pytest.approx(1.0, abs=0.02)


def test_the_nearest_centre_errs_as_often_as_the_formula_says():
    splits = find("datasets", "synthetic", n_train=20_000, classes=2, separation=2.0).load()
    x, y = splits.train.x, splits.train.y
    centres = torch.stack([x[y == c].mean(0) for c in range(2)])
    wrong = float((torch.cdist(splits.test.x, centres).argmin(1) != splits.test.y).double().mean())
    wanted = 0.5 * math.erfc(1.0 / math.sqrt(2))
    assert wrong == pytest.approx(wanted, abs=4 * math.sqrt(wanted * (1 - wanted) / len(splits.test)))


@pytest.mark.parametrize("shape", [(7,), (1, 8, 8), (3, 16, 12), (2, 1, 5)])
def test_inputs_have_the_shape_that_was_asked_for(shape):
    source = find("datasets", "synthetic", shape=shape, n_train=41, n_test=20)
    one, same = source.load(), source.load()
    assert one.train.x.shape == (41, *shape)
    assert one.train.x.dtype == (torch.uint8 if len(shape) == 3 else torch.float32)
    assert sorted(one.train.class_counts().values()) == [10, 10, 10, 11]
    assert one.train.digest() == same.train.digest()
    assert one.train.digest() != find("datasets", "synthetic", shape=shape, n_train=41, seed=1).load().train.digest()


def test_settings_survive_json():
    source = find("datasets", "synthetic", shape=[3, 8, 8], n_train=40)
    assert from_spec("datasets", source.spec()) == source


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("synthetic:shape=[3,3]", r"shape is \(features,\)"),
        ("synthetic:classes=21", "room for 2 to 20 classes, got 21"),
        ("synthetic:classes=1", "room for 2 to 20 classes"),
        ("synthetic:separation=-1", "separation must be >= 0"),
        ("synthetic:n_test=3", "at least the number of classes, 4"),
    ],
)
def test_refuses_what_cannot_be(text, complaint):
    with pytest.raises(BadInput, match=complaint):
        parse("datasets", text).load()
