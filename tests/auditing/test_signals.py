from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lacunar.auditing import signals
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.examples import Examples
from tests.evaluators import toy


def test_margin_of_a_part():
    one = (torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0]))
    trial = toy.trial(one, one, one)
    assert float(signals.margins(trial, "forget")) == pytest.approx(2 - math.log(2))


@pytest.mark.parametrize("bad", [float("nan"), float("-inf"), float("inf")])
def test_a_margin_of_logits_that_are_not_finite_is_refused(bad):
    # Minus infinity of another class would leave the margin finite.
    class Bad(nn.Module):
        def forward(self, x):
            return torch.cat([x[:, :2], torch.full((len(x), 1), bad)], 1)

    one = (torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([0]))
    with pytest.raises(BadInput, match="logits on the forget examples hold NaN or infinity"):
        signals.margins(toy.trial(one, one, one).seen_as(Bad()), "forget")


class Largest(TorchDispatchMode):
    """The size of the largest tensor that any operation makes."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        self.numel = max([self.numel, *(t.numel() for t in tree_leaves(made) if isinstance(t, torch.Tensor))])
        return made


def test_modified_entropy_needs_memory_for_each_class_not_for_each_pair_of_examples():
    # Public code indexes whole columns by the labels, which makes a square of the number of examples.
    z, y = torch.randn(500, 4), torch.arange(500) % 4
    with Largest() as largest:
        signals.modified_entropy(z, y)
    assert largest.numel == 500 * 4


def test_modified_entropy_of_a_sure_and_right_prediction_is_small():
    p = torch.tensor([[0.999] + [0.001 / 9] * 9], dtype=torch.float64)
    right = signals.modified_entropy(p.log(), torch.tensor([0]))
    assert float(right) == pytest.approx(-0.001 * math.log(0.999) - 0.001 * math.log1p(-0.001 / 9))
    assert float(right) < 0.001
    assert float(signals.modified_entropy(p.log(), torch.tensor([1]))) > 9, "it depends on the label"


def test_modified_entropy_equals_the_formula():
    z = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 3, 0])
    for i, p in enumerate(z.softmax(1).tolist()):
        own = p[y[i]]
        others = sum(q * math.log(1 - q) for c, q in enumerate(p) if c != int(y[i]))
        assert float(signals.modified_entropy(z, y)[i]) == pytest.approx(-(1 - own) * math.log(own) - others)


def test_entropy_and_top_two_margin():
    z = torch.tensor([[0.0, 0.0, 0.0], [5.0, 1.0, 3.0]])
    assert signals.entropy(z)[0] == pytest.approx(math.log(3))
    assert signals.top_two_margin(z).tolist() == [0.0, 2.0]
    assert signals.features(z, torch.tensor([0, 0])).shape == (2, 4)


def test_labels_that_are_not_classes_are_not_applicable():
    with pytest.raises(NotApplicable, match="one class label"):
        signals.class_labels(Examples.of(torch.zeros(2, 1), torch.tensor([0.5, 1.0])))
    with pytest.raises(NotApplicable, match="one class label"):
        signals.class_labels(Examples.of(torch.zeros(2, 1), torch.zeros(2, 3)))
    assert signals.class_labels(Examples.of(torch.zeros(2, 1), torch.tensor([0.0, 1.0]))).dtype == torch.int64


def test_logits_that_are_not_numbers_are_refused():
    good = (torch.zeros(2, 3), torch.tensor([0, 1]))
    trial = toy.trial(good, good, good)
    with torch.no_grad():
        trial.outcome.model.shift.fill_(float("nan"))
    with pytest.raises(BadInput, match="forget examples hold NaN"):
        signals.class_logits(trial, "forget")
