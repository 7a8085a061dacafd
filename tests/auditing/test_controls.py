from __future__ import annotations

import pytest
import torch

from lacunar.auditing.controls import matched
from lacunar.core.errors import NotApplicable
from lacunar.training import forward
from tests.evaluators import toy


def part(*labels, classes=3):
    y = torch.tensor(labels)
    return toy.logits_for(y, 1.0, classes, 1.0, seed=len(labels)), y


def test_controls_have_the_class_mix_of_the_forgotten():
    trial = toy.trial(part(0, 0, 1), part(0, 1, 2), part(0), part(*[0] * 7, *[1] * 3, *[2] * 5))
    place, labels = matched(trial).draw(seed=0)
    assert labels.tolist().count(0) == 2 * labels.tolist().count(1) == 6
    assert trial.labels("held_out")[place].equal(labels)
    assert not matched(trial).draw(seed=1)[0].equal(place)


def test_scarce_controls_are_fewer_than_the_forgotten():
    trial = toy.trial(part(*[0] * 8, *[1] * 4), part(0, 1), part(0), part(*[0] * 4, *[1] * 9))
    labels = matched(trial).draw(seed=0)[1].tolist()
    assert (labels.count(0), labels.count(1)) == (4, 2)


def test_controls_of_mislabelled_examples_get_the_same_wrong_labels():
    forget = part(1, 1, 2, 0)
    trial = toy.trial(forget, part(0, 1, 2), part(0), part(0, 0, 0, 0, 0, 0, 1, 1, 2), corrected=[0, 0, 0, 1])
    found = matched(trial)
    assert found.true.tolist() == [0, 0, 0, 1]
    assert found.label.tolist() == [1, 1, 2, 0]
    z = trial.logits("held_out")
    by_hand = [forward.margin(z[:6], torch.full((6,), o)).mean() for o in (1, 1, 2)]
    by_hand.append(forward.margin(z[6:8], torch.tensor([0, 0])).mean())
    assert found.expected(z).tolist() == pytest.approx([float(v) for v in by_hand])
    place, labels = found.draw(seed=0)
    of_class_0 = labels[trial.labels("held_out")[place] == 0].tolist()
    assert sorted(of_class_0) == [1, 1, 1, 1, 2, 2]


def test_a_forgotten_class_has_no_controls():
    trial = toy.trial(part(0, 0, 1), part(1, 2), part(0), part(0, 1, 2), forgotten_classes=(0,))
    found = matched(trial)
    assert found.forget.tolist() == [2] and "2 of 3" in found.note
    trial = toy.trial(part(0, 0), part(1, 2), part(0), part(0, 1, 2), forgotten_classes=(0,))
    with pytest.raises(NotApplicable, match="class 0 disappears"):
        matched(trial)


def test_no_controls():
    with pytest.raises(NotApplicable, match="no held-out part"):
        matched(toy.trial(part(0), part(0), part(0)))
    with pytest.raises(NotApplicable, match="class 0 has no held-out example"):
        matched(toy.trial(part(0), part(0), part(0), part(1)))
