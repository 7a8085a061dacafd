from __future__ import annotations

import math

import pytest
import torch

from lacunar.evaluators.utility.accuracy import Accuracy
from tests.evaluators import toy


def right_and_wrong(right: int, wrong: int, label: int = 0, classes: int = 3):
    z = torch.zeros(right + wrong, classes)
    z[:right, label] = 5
    z[right:, (label + 1) % classes] = 5
    return z, torch.full((right + wrong,), label)


def joined(*parts):
    return torch.cat([z for z, _ in parts]), torch.cat([y for _, y in parts])


def test_accuracies_in_percent():
    trial = toy.trial(right_and_wrong(3, 1), right_and_wrong(9, 1), right_and_wrong(1, 1))
    found = {m.name: m for m in Accuracy().measure([trial])}
    assert (found["ua"].value, found["ra"].value, found["ta"].value) == pytest.approx((25.0, 90.0, 50.0))
    assert (found["ra"].low, found["ra"].high) == pytest.approx((55.498, 99.747), abs=1e-3)
    assert found["ua"].n == 4 and "too wide" in found["ua"].note


def test_margin_and_loss_by_hand():
    trial = toy.trial(right_and_wrong(1, 1), right_and_wrong(2, 0), right_and_wrong(2, 0))
    found = toy.values(Accuracy().one(trial))
    margin = 5 - math.log(2)
    wrong = -math.log(math.exp(5) + 1)
    assert found["margin_retain"] == pytest.approx(margin)
    assert found["margin_forget"] == pytest.approx((margin + wrong) / 2)
    assert found["loss_retain"] == pytest.approx(math.log1p(math.exp(-margin)))


def test_forgotten_classes_are_left_out_of_test_accuracy_and_it_says_so():
    test = joined(right_and_wrong(0, 10, label=0), right_and_wrong(4, 0, label=1))
    trial = toy.trial(right_and_wrong(1, 1), right_and_wrong(2, 0, 1), test, forgotten_classes=(0,))
    found = {m.name: m for m in Accuracy(per_class=True).one(trial)}
    assert found["ta"].value == 100 and found["ta"].n == 4
    assert "10 of 14 test examples left out: forgotten class 0" in found["ta"].note
    assert found["ta_class[0]"].value == 0 and found["ta_class[1]"].value == 100


@pytest.mark.parametrize("n", [29, 30, 31])
def test_only_the_classes_that_vanish_filter_the_test_set_never_the_number_forgotten(n):
    # Public code takes requests of certain sizes (as many as one class has examples) for requests of that class.
    y = torch.arange(90) % 3
    z = toy.logits_for(y, 1.0)
    for classes, left in (((), 90), ((2,), 60)):
        trial = toy.trial((z[:n], y[:n]), (z, y), (z, y), forgotten_classes=classes)
        found = {m.name: m for m in Accuracy().one(trial)}
        assert found["ta"].n == left and found["ua"].n == n


def test_nothing_left_of_the_test_set_is_said():
    trial = toy.trial(right_and_wrong(1, 1), right_and_wrong(2, 0, 1), right_and_wrong(2, 0), forgotten_classes=(0,))
    found = {m.name: m for m in Accuracy().one(trial)}
    assert found["ta"].value is None and "2 of 2 test examples left out" in found["ta"].note


def test_one_logit_means_two_classes():
    binary = (torch.tensor([[3.0], [-3.0], [1.0]]), torch.tensor([1.0, 0.0, 0.0]))
    found = toy.values(Accuracy().one(toy.trial(binary, binary, binary)))
    assert found["ra"] == pytest.approx(200 / 3)


def test_every_example_is_counted():
    y = torch.zeros(257, dtype=torch.int64)
    part = (toy.logits_for(y, 1.0), y)
    assert {m.n for m in Accuracy().one(toy.trial(part, part, part))} == {257}


def test_accuracy_of_no_examples_is_undefined_and_the_others_are_not():
    # Where every row was corrected nothing is retained as it was.
    y = torch.tensor([0, 1])
    none = torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)
    found = {
        m.name: m for m in Accuracy().one(toy.trial((toy.logits_for(y, 2.0), y), none, (toy.logits_for(y, 2.0), y)))
    }
    for name in ("ra", "margin_retain", "loss_retain"):
        assert found[name].value is None and found[name].note == "undefined: there are no retain examples"
    assert (found["ua"].value, found["ta"].value) == (0.0, 100.0)
