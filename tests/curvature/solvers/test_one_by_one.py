"""Several dampings by one solver."""

import pytest
import torch

from lacunar.core.errors import NotApplicable
from lacunar.curvature.solvers.cg import Cg, Products
from lacunar.curvature.solvers.one_by_one import OneByOne

MATRIX = Products(lambda v: {"w": torch.tensor([1.0, -3.0]) * v["w"]})
B = {"w": torch.tensor([1.0, 1.0])}


def test_it_goes_down_to_the_first_damping_that_is_refused():
    found = OneByOne(Cg(1e-8)).solve(MATRIX, B, [10.0, 4.0, 2.0, 5.0])
    assert [s.converged for s in found] == [True, True]
    for solution, damping in zip(found, (10.0, 4.0), strict=True):
        assert torch.allclose(solution.x["w"], B["w"] / (torch.tensor([1.0, -3.0]) + damping))


def test_no_damping_large_enough_is_refused():
    with pytest.raises(NotApplicable, match="indefinite"):
        OneByOne(Cg()).solve(MATRIX, B, [2.0, 10.0])
