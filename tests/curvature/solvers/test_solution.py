"""What a solver found, and when it is no result."""

import pytest

from lacunar.core.errors import NotApplicable
from lacunar.curvature.solvers.solution import Solution


def test_a_solution_that_did_not_converge_is_no_result():
    with pytest.raises(NotApplicable, match=r"relative residual 0.5 after 3 iterations"):
        Solution({}, 3, 0.5, False).need()


def test_one_that_did_is():
    x: dict = {}
    assert Solution(x, 3, 1e-9, True).need() is x
