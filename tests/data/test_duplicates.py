"""Exact copies are found by their inputs alone."""

from __future__ import annotations

import torch

from lacunar.data.duplicates import prints
from lacunar.data.examples import Examples


def test_equal_inputs_have_equal_prints_whatever_id_and_label():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0], [1.0, 2.0]])
    first, second, third = prints(Examples.of(x, torch.tensor([0, 1, 2]), ids=[7, 8, 9]))
    assert first == third != second


def test_all_parts_of_an_input_count():
    a, b = torch.tensor([[1], [1], [1]]), torch.tensor([[5], [6], [5]])
    first, second, third = prints(Examples.of({"a": a, "b": b}, torch.zeros(3, dtype=torch.int64)))
    assert first == third != second


def test_every_example_is_read(tiny):
    assert len(list(prints(tiny))) == len(tiny)
    many = Examples.of(torch.arange(2500.0)[:, None], torch.zeros(2500, dtype=torch.int64))
    assert len(set(prints(many))) == 2500
