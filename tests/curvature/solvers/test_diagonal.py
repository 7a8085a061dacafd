"""The control that knows nothing but the diagonal."""

import pytest
import torch

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.curvature.solvers.cg import Products
from lacunar.curvature.solvers.diagonal import Diagonal

B = {"w": torch.tensor([1.0, 2.0, 3.0])}


def test_it_divides_by_the_damped_diagonal_of_free_weights():
    free = {"w": torch.tensor([True, False, True])}
    matrix = Products(dict, free, {"w": torch.tensor([1.0, 1.0, 2.0])})
    found = Diagonal().solve(matrix, B, 1.0)
    assert found.need()["w"].tolist() == [0.5, 0.0, 1.0] and found.iterations == 0


def test_what_cannot_be_divided():
    with pytest.raises(NotApplicable, match="needs the diagonal of the matrix"):
        Diagonal().solve(Products(dict), B, 1.0)
    with pytest.raises(BadInput, match="damping must be >= 0"):
        Diagonal().solve(Products(dict, None, B), B, -1.0)
