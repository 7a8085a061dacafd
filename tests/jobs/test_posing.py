"""The problem that a request poses, and what its reader is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.jobs.posing import problem_of
from lacunar.jobs.words import read
from tests.jobs.asked import OWN

ASKED = replace(OWN, weights="base.safetensors", forget="ids.csv")


def posed(**changes):
    return problem_of(read(replace(ASKED, **changes)))


def test_what_is_asked(folder):
    problem = posed(seed=4, tuning="usercode:test_set", where="mask.safetensors")
    assert problem.forget_ids.tolist() == [3, 5, 8] and len(problem.retain) == 27 and problem.seed == 4
    assert len(problem.tuning) == 12 and problem.mask is None and problem.where is not None
    assert problem.notes == ()


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"recipe": {}}, "no --recipe was given: retraining for comparison uses lacunar's defaults"),
        ({"scenario": "random_subset:fraction=0.6", "forget": None}, "more than half of the training set"),
        ({"forget": "table.csv", "id_column": "customer"}, "so customer is read as positions 0 to 29"),
        ({"test": "usercode:with_a_copy"}, "1 of 3 examples to forget have an exact copy in the test data"),
    ],
)
def test_what_a_reader_should_know(folder, changes, note):
    import usercode

    x = torch.cat([usercode.train_set.x[3:4], usercode.test_set.x])
    usercode.with_a_copy = (x, torch.tensor([usercode.train_set.y[3], *usercode.test_set.y]))
    (folder / "table.csv").write_text("customer;name\n3;a\n5;b\n")
    assert any(note in one for one in posed(**changes).notes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"weights": None}, "--weights is missing"),
        ({"forget": None}, "say what must be forgotten, by either --forget FILE or --scenario NAME, not both"),
        ({"test": "usercode:one_based"}, "the test data do not fit: labels run from 1 to 3"),
        ({"test": "usercode:train_set"}, "every example to forget is in the test data as well"),
        ({"tuning": "usercode:seen_again"}, "3 ids are in the tuning examples and in the training set: 0, 1, 2"),
    ],
)
def test_what_cannot_be_posed(folder, changes, sentence):
    import usercode

    from lacunar.data.examples import Examples

    usercode.seen_again = Examples.of(usercode.train_set.x[:3], usercode.train_set.y[:3], ids=[0, 1, 2])
    with pytest.raises(BadInput, match=sentence):
        posed(**changes)
