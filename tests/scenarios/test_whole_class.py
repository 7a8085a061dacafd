from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.data.examples import Examples
from tests.scenarios.toy import pose, sixty


def test_a_whole_class_is_all_of_it_and_vanishes():
    train = sixty()
    posed = pose("whole_class:label=2", train)
    assert torch.equal(posed.forget_ids, train.ids[train.y == 2])
    assert posed.forgotten_classes == (2,)
    assert posed.seen is train and posed.corrected is None


def test_a_class_that_nobody_has_is_refused_with_those_that_are_there():
    with pytest.raises(BadInput, match="no training example has label 7; the labels are 0, 1, 2"):
        pose("whole_class:label=7", sixty())


def test_the_only_class_cannot_go():
    with pytest.raises(BadInput, match="nothing is left to retain"):
        pose("whole_class", Examples.of(torch.zeros(5, 1), torch.zeros(5, dtype=torch.int64)))


def test_labels_that_are_not_classes_have_no_class_to_forget():
    with pytest.raises(BadInput, match="not classes"):
        pose("whole_class", Examples.of(torch.zeros(5, 1), torch.linspace(0, 1, 5)))
