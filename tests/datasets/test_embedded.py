"""The data sets that need no files: digits and synthetic; and the parts that all data sets share."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.datasets import load_digits

from lacunar.catalog.registry import find, from_spec, parse
from lacunar.core.errors import BadInput
from lacunar.data.examples import Examples
from lacunar.datasets._splits import stratified, subset


def parts(splits):
    return [part for part in (splits.train, splits.validation, splits.test) if part is not None]


@pytest.mark.parametrize("text", ["digits", "digits:validation=0.1", "synthetic:validation=0.2", "synthetic"])
def test_parts_share_no_id_and_test_ids_go_on(text):
    splits = parse("datasets", text).load()
    ids = torch.cat([part.ids for part in parts(splits)])
    assert torch.equal(ids.sort().values, torch.arange(len(ids)))
    assert int(splits.test.ids.min()) == len(ids) - len(splits.test)
    assert (splits.validation is None) == ("validation" not in text)


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


def test_settings_survive_json():
    source = find("datasets", "synthetic", shape=[3, 8, 8], n_train=40)
    assert from_spec("datasets", source.spec()) == source


def test_synthetic_classes_are_as_far_apart_as_asked():
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
def test_synthetic_inputs_have_the_shape_that_was_asked_for(shape):
    source = find("datasets", "synthetic", shape=shape, n_train=41, n_test=20)
    one, same = source.load(), source.load()
    assert one.train.x.shape == (41, *shape)
    assert one.train.x.dtype == (torch.uint8 if len(shape) == 3 else torch.float32)
    assert sorted(one.train.class_counts().values()) == [10, 10, 10, 11]
    assert one.train.digest() == same.train.digest()
    assert one.train.digest() != find("datasets", "synthetic", shape=shape, n_train=41, seed=1).load().train.digest()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("digits:n_train=1430", "of class . which has 1.. ask for at most 1390|needs 143 examples of class"),
        ("digits:n_test=0", "n_test must be at least 1"),
        ("digits:validation=1", "0 <= share < 1, got 1"),
        ("digits:validation=-0.1", "0 <= share < 1"),
        ("digits:n_train=20,validation=0.1", "would hold out 0 of the 2 examples of class 0"),
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


def test_the_whole_number_of_examples_is_no_subset():
    examples = Examples.of(torch.zeros(5, 1), torch.tensor([0, 0, 0, 0, 1]))
    assert subset(examples, 5, "n_train") is examples


def test_stratified_parts_are_disjoint_and_complete():
    y = torch.tensor([0] * 10 + [1] * 6)
    drawn, rest = stratified(y, 1, test=0.5)
    assert torch.equal(torch.cat([drawn, rest]).sort().values, torch.arange(16))
    assert torch.bincount(y[drawn]).tolist() == [5, 3]


def test_a_further_share_leaves_the_draw_of_the_first_as_it_is():
    y = torch.tensor([0] * 10 + [1] * 6)
    alone, _ = stratified(y, 1, validation=0.5)
    held, tuned, rest = stratified(y, 1, validation=0.5, tuning=0.3)
    assert torch.equal(held, alone) and torch.bincount(y[tuned]).tolist() == [3, 2]
    assert torch.equal(torch.cat([held, tuned, rest]).sort().values, torch.arange(16))
    assert len(stratified(y, 1, validation=0.0, tuning=0.3)[0]) == 0


def test_shares_that_take_a_whole_class_are_refused():
    with pytest.raises(BadInput, match=r"tuning=0.5 would hold out 5 of the 5 examples of class 0"):
        stratified(torch.tensor([0] * 10 + [1] * 6), 1, validation=0.5, tuning=0.5)
