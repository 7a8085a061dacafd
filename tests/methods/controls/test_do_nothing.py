from __future__ import annotations

import pytest

from lacunar.core import named
from lacunar.core.weights import model_state
from lacunar.methods.controls.do_nothing import DoNothing
from tests import problems


@pytest.mark.parametrize("case", problems.CASES, ids=problems.CASE_IDS)
def test_every_weight_and_buffer_is_as_it_was(case):
    problem = problems.problem(*case)
    outcome = DoNothing()(problem)
    assert named.digest(model_state(outcome.model)) == named.digest(model_state(problem.model))
    assert outcome.model is not problem.model, "the user's model is never handed out"
    assert outcome.mask is problem.mask
    assert (outcome.steps, outcome.examples_seen, outcome.history) == (0, 0, ())
