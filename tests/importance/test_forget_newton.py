from __future__ import annotations

import pytest
import torch

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.curvature import ggn
from lacunar.curvature.objective import Objective
from lacunar.curvature.per_example import weighted_sum
from lacunar.importance.forget_newton import ForgetNewton
from tests.importance.toy import assert_same, stream, world

SCORE = ForgetNewton(damping=0.2, probes=3)


def expected(here, gradient):
    """The gradient of the edit, squared, over curvature, penalty and damping of the four rows that stay."""
    seed = int(torch.randint(0, 1 << 62, (), generator=stream(5)))
    diagonal = ggn.diagonal(here.objective(), probes=3, seed=seed)
    return named.apply(lambda g, c: g**2 / (c + 4 * (5e-4 + 0.2)), gradient, diagonal)


def test_of_a_deletion_it_is_the_decrease_along_each_weight():
    here = world()
    # Three rows fewer are three parts of the weight decay fewer.
    gradient = named.add(here.forget_gradient(), named.weights(here.model), 3 * 5e-4)
    assert_same(here.scores(SCORE), expected(here, gradient))


def test_of_a_correction_the_new_rows_count_against_the_old():
    here = world()
    changed = here.gone.labelled((here.gone.y + 1) % 3)
    new = weighted_sum(Objective.of(here.model, changed, here.recipe))
    gradient = named.add(new, here.forget_gradient(), -1.0)
    assert_same(here.scores(SCORE, corrected=changed), expected(here, gradient))


def test_a_correction_that_changes_nothing_scores_nothing():
    here = world()
    assert named.norm(here.scores(ForgetNewton(), corrected=here.gone)) == 0


def test_damping_cannot_be_negative_and_may_be_zero():
    with pytest.raises(BadInput, match="damping must be >= 0, got -1"):
        ForgetNewton(damping=-1.0)
    assert not named.not_finite(world().scores(ForgetNewton(damping=0.0)))
