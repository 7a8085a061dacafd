from __future__ import annotations

import torch
from torch import nn

from lacunar.auditing.memory import Memory
from lacunar.data.examples import Examples


def test_what_was_read_is_read_once_per_model_examples_and_question():
    memory, rows = Memory(), Examples.of(torch.zeros(2, 1), torch.zeros(2))
    a, b = nn.Linear(1, 1), nn.Linear(1, 1)
    assert memory.known(a, rows, "x") is None
    first = memory.read(a, rows, "x", lambda: torch.ones(2))
    assert memory.read(a, rows, "x", lambda: torch.zeros(2)) is first is memory.known(a, rows, "x")
    others = [(b, rows, "x"), (a, rows, "y"), (a, Examples.of(torch.zeros(2, 1), torch.zeros(2)), "x")]
    assert all(memory.known(*other) is None for other in others)
    assert memory.read(b, rows, "x", lambda: torch.zeros(2)) is not first
    memory.drop(a)
    assert memory.known(a, rows, "x") is None and memory.known(b, rows, "x") is not None


def test_what_is_made_is_made_once_even_if_it_is_nothing():
    memory, made = Memory(), []
    for name in ("a", "b", "a"):
        assert memory.made(name, lambda: made.append(1)) is None
    assert len(made) == 2
