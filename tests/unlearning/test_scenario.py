from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.examples import Examples
from lacunar.data.stream import Stream
from lacunar.unlearning.scenario import Scenario, draw
from tests.scenarios.toy import classes, pose


def test_removed_columns_are_not_asked_about():
    posed = pose("bad_features:columns=[1]", classes([6, 6]))
    test = Examples.of(torch.ones(3, 2), [0, 1, 0], ids=[90, 91, 92])
    assert posed.as_asked(test).x.tolist() == [[1, 0]] * 3 and posed.as_asked(None) is None
    assert pose("wrong_labels:n=2", classes([6, 6])).as_asked(test) is test
    nothing = Stream([], torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(NotApplicable, match="in memory"):
        posed.as_asked(nothing)


@pytest.mark.parametrize("n", [1, 4, 7])
def test_a_draw_is_of_some_ids_without_repeats_in_ascending_order(n):
    ids = torch.tensor([9, 3, 7, 1, 5, 11, 13])
    drawn = draw(ids, n, torch.Generator().manual_seed(0))
    assert len(drawn) == len(set(drawn.tolist())) == n
    assert drawn.tolist() == sorted(drawn.tolist()) and set(drawn.tolist()) <= set(ids.tolist())


@pytest.mark.parametrize("n", [0, -1, 4])
def test_no_more_can_be_drawn_than_there_are(n):
    with pytest.raises(BadInput, match=f"cannot draw {n} of 3 examples; ask for 1 to 3"):
        draw(torch.arange(3), n, torch.Generator())


def test_a_scenario_must_say_how_it_is_posed():
    class Nothing(Scenario):
        pass

    with pytest.raises(TypeError, match="abstract method"):
        Nothing()
