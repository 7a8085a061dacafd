import random

import numpy as np
import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.data.steady import PROBES, steady


class Augmented:
    """A hundred items, some of which are random."""

    def __init__(self, x=lambda i: torch.zeros(2), y=lambda i: i % 3, n=100):
        self.x, self.y, self.n, self.read = x, y, n, []

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        self.read.append(i)
        return self.x(i), self.y(i)


def flipped(i):
    return torch.arange(2.0).flip(0) if random.random() < 0.5 else torch.arange(2.0)


def test_items_spread_over_the_whole_set_are_read_twice():
    data = Augmented()
    labels = steady(data, 100)
    assert labels.keys() == set(data.read) and len(labels) == PROBES and {0, 99} <= labels.keys()
    assert all(int(label) == i % 3 for i, label in labels.items())
    assert max(np.diff(sorted(labels))) <= 4
    assert steady(Augmented(n=1), 1).keys() == {0}


@pytest.mark.parametrize(
    "x",
    [
        flipped,
        lambda i: torch.rand(2) if i else torch.zeros(2),
        lambda i: torch.from_numpy(np.random.rand(2)) if i > 50 else torch.zeros(2),  # noqa: NPY002
        lambda i: torch.from_numpy(np.random.default_rng().random(2)) if i > 50 else torch.zeros(2),
    ],
)
def test_random_inputs_are_found_wherever_their_numbers_come_from(x):
    for state in range(5):
        random.seed(state)
        with pytest.raises(BadInput, match=r"item \d+ of the data set differs between two readings; turn random augm"):
            steady(Augmented(x), 100)


def test_random_labels_are_found():
    with pytest.raises(BadInput, match=r"the label of item \d+ .* differs between two readings \(\d, then \d\)"):
        steady(Augmented(y=lambda i: int(torch.randint(10, ()))), 100)


def test_missing_values_are_no_difference():
    steady(Augmented(lambda i: torch.tensor([float("nan"), 1.0])), 100)


def test_global_random_numbers_go_on_as_if_nothing_was_read():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with pytest.raises(BadInput):
        steady(Augmented(lambda i: torch.rand(2)), 100)
    assert torch.equal(torch.rand(2), expected)
