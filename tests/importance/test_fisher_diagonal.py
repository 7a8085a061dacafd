from __future__ import annotations

import pytest

from lacunar.core import named
from lacunar.curvature import fisher
from lacunar.curvature.objective import Objective
from lacunar.importance.fisher_diagonal import FisherDiagonal
from tests import problems
from tests.importance.toy import assert_same, stream, world
from tests.oracles import curvature as oracle


@pytest.mark.parametrize(("labels", "slow"), [("given", oracle.squared_sum), ("all", oracle.true_fisher)])
def test_it_is_a_sum_over_single_examples(labels, slow):
    here = world()
    assert_same(here.scores(FisherDiagonal(labels)), slow(here.model, here.kept, here.recipe))


def test_corrected_rows_count_as_kept():
    problem = problems.problem("vectors")
    corrected = problem.forget.labelled((problem.forget.y + 1) % 3)
    edited = problems.problem("vectors", corrected=corrected)
    kept = Objective.of(edited.model, problem.retain + corrected, edited.recipe)
    assert_same(edited.scores(FisherDiagonal()), fisher.empirical(kept), 1e-6)


@pytest.mark.parametrize(("labels", "blind"), [("given", False), ("all", True)])
def test_given_labels_matter_and_all_labels_do_not(labels, blind):
    here = world()
    turned = here.kept.labelled((here.kept.y + 1) % 3)
    again = FisherDiagonal(labels).scores(here.model, turned, here.recipe, stream(5))
    assert (named.digest(again) == named.digest(here.scores(FisherDiagonal(labels)))) is blind
