from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.sparsity.amount import Count, Rest, Share, checked, live_counts, total


@pytest.mark.parametrize(
    ("amount", "size", "chosen", "words"),
    [
        (Share(0.29), 100, 29, "a share of 0.29"),
        (Share(0.29), 99, 28, "a share of 0.29"),
        (Share(1.0), 7, 7, "a share of 1"),
        (Rest(0.95), 30, 2, "the rest of a share of 0.95"),
        (Rest(0.5), 5, 3, "the rest of a share of 0.5"),
        (Rest(0.0), 5, 5, "the rest of a share of 0"),
        (Count(3), 100, 3, "3"),
    ],
)
def test_amounts(amount, size, chosen, words):
    assert (amount.of(size), str(amount)) == (chosen, words)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Share(0.0), r"share must be in \(0, 1\], got 0.0; write 0.05 for 5 %"),
        (lambda: Share(5), "got 5; write 0.05 for 5 %"),
        (lambda: Rest(1.0), r"sparsity is the share of weights to prune, in \[0, 1\), got 1.0"),
        (lambda: Count(0), "count must be at least 1, got 0"),
    ],
)
def test_amounts_that_cannot_be(make, why):
    with pytest.raises(BadInput, match=why):
        make()


def test_counts_are_of_a_mask_and_add_up():
    counts = live_counts({"a": torch.tensor([True, False]), "b": torch.tensor([True, True])})
    assert counts == {"a": 1, "b": 2} and total(counts) == total(3) == 3


def test_counts_that_fit_come_back_without_those_out_of_scope():
    assert checked({"a": 1, "b": 4}, {"a": 2}, {"b": 4}) == {"a": 1}
    assert checked(2, {"a": 2}, {}) == 2
    with pytest.raises(BadInput, match="counts name b, which this scope does not prune"):
        checked({"a": 1, "b": 3}, {"a": 2}, {"b": 4})
    with pytest.raises(BadInput, match="cannot keep 3: 2 in scope are live"):
        checked(3, {"a": 2}, {})
