"""Which examples a request names, and who may see them."""

from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.jobs.data_parts import Parts, parts
from lacunar.unlearning.scenario import Posed


def test_a_data_set_brings_its_parts():
    found = parts("synthetic:n_train=60,n_test=20,validation=0.25,tuning=0.2")
    named = (found.train, found.test, found.held_out, found.tuning)
    ids = torch.cat([part.ids for part in named])
    assert len(found.held_out) == 16 and len(found.tuning) > 0 and len(ids.unique()) == len(ids) == 80


def test_those_that_are_named_win(folder):
    found = parts("synthetic:n_train=60,n_test=20,shape=[4],classes=3", "usercode:test_set", "usercode:more")
    assert len(found.test) == 12 and found.test.ids.tolist() == list(range(80, 92))
    assert len(found.tuning) == 5 and found.tuning.ids.tolist() == list(range(92, 97))


@pytest.fixture(autouse=True)
def _more(_user_folder):
    import usercode

    usercode.more = (torch.zeros(5, 4), torch.zeros(5, dtype=torch.int64))


def test_test_and_tuning_parts_of_another_data_set(folder):
    line = "synthetic:n_train=60,n_test=20,tuning=0.2,shape=[4]"
    found = parts("usercode:customers", line, line)
    assert len(found.test) == 20 and len(found.tuning) > 0
    with pytest.raises(BadInput, match="has no tuning part; name examples that were not trained on"):
        parts("usercode:customers", None, "synthetic:n_train=60,n_test=20")


def test_a_scenario_changes_what_training_saw_and_what_may_be_asked(tiny):
    few = tiny.take(torch.arange(3))
    found = Parts(tiny, test=few, tuning=few, normalize=((0.0,), (1.0,))).posed(Posed(tiny.ids[:1], few, zeroed=(1,)))
    assert found.train is few and found.held_out is None and found.normalize == ((0.0,), (1.0,))
    assert (
        not bool(found.test.x[:, 1].any()) and not bool(found.tuning.x[:, 1].any()) and bool(found.test.x[:, 0].all())
    )


def test_what_cannot_be_read(folder):
    import usercode

    class Endless(usercode.Broken):
        def __len__(self):
            raise OSError("the server is down")

    usercode.endless = Endless()
    with pytest.raises(BadInput, match="image 3 is missing"):
        parts("usercode:broken")
    with pytest.raises(BadInput, match="reading usercode:endless failed: OSError: the server is down"):
        parts("usercode:endless")
    with pytest.raises(BadInput, match="usercode:three is an object of type int, not a data set"):
        parts("usercode:three")
