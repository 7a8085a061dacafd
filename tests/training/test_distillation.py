import math

import pytest
import torch
from torch import nn

from lacunar.core.errors import BadInput
from lacunar.data.batches import Batch
from lacunar.training.distillation import kl


class Fixed(nn.Module):
    """Returns logits that it is given."""

    def __init__(self, z):
        super().__init__()
        self.z = nn.Parameter(torch.tensor(z))

    def forward(self, x):
        return self.z


def batch(y):
    return Batch(torch.zeros(len(y), 1), torch.tensor(y), torch.arange(len(y)))


def by_hand(student, teacher, temperature):
    def p(z):
        e = [math.exp(v / temperature) for v in z]
        return [v / sum(e) for v in e]

    a, b = p(student), p(teacher)
    return temperature**2 * sum(t * math.log(t / s) for s, t in zip(a, b, strict=True))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_it_is_the_mean_divergence_from_the_teacher(temperature):
    student, teacher = Fixed([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]]), Fixed([[0.0, 1.0, 0.0], [0.5, 0.0, 3.0]])
    pairs = zip(student.z.tolist(), teacher.z.tolist(), strict=True)
    expected = sum(by_hand(s, t, temperature) for s, t in pairs) / 2
    found = kl(student, teacher, batch([0, 1]), temperature)
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)
    found.backward()
    assert teacher.z.grad is None and float(student.z.grad.abs().sum()) > 0
    assert float(kl(student, student, batch([0, 1])).detach()) == pytest.approx(0.0, abs=1e-7)


def test_one_logit_stands_for_two_classes():
    student, teacher = Fixed([[1.0], [2.0]]), Fixed([[0.0], [2.0]])
    expected = (by_hand([0.0, 1.0], [0.0, 0.0], 1.0) + 0.0) / 2
    assert float(kl(student, teacher, batch([0, 1])).detach()) == pytest.approx(expected, rel=1e-5)


def test_positions_without_a_label_do_not_count():
    # Two sequences of two positions; the second position of the first one does not count.
    student = Fixed([[[1.0, 0.0], [5.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]]])
    teacher = Fixed([[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    expected = (by_hand([1.0, 0.0], [0.0, 0.0], 1.0) + by_hand([0.0, 2.0], [0.0, 0.0], 1.0) / 2) / 2
    assert float(kl(student, teacher, batch([[0, -100], [1, 1]])).detach()) == pytest.approx(expected, rel=1e-5)


def test_a_temperature_is_positive():
    with pytest.raises(BadInput, match="temperature must be > 0, got 0"):
        kl(Fixed([[1.0]]), Fixed([[1.0]]), batch([0]), 0)
