"""What every data set must do; those that need files are asked where nothing is. None is known by name."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

import pytest
import torch

from lacunar.catalog import registry
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.data_set import DataSource, Splits
from tests.contracts import toy

NAMES = registry.names("datasets")
FROM_FILES = [n for n in NAMES if "folder" in {f.name for f in fields(registry.plugin_class("datasets", n))}]
MADE = [n for n in NAMES if n not in FROM_FILES]


@cache
def loaded(name: str, **settings: Any) -> Splits:
    return registry.find("datasets", name, **settings).load()


def parts(splits: Splits) -> list[Any]:
    return [part for part in (splits.train, splits.validation, splits.tuning, splits.test) if part is not None]


@pytest.mark.parametrize("name", NAMES)
def test_documented_and_settings_round_trip_through_json(name):
    cls = toy.documented("datasets", name, DataSource)
    assert toy.read_back("datasets", cls()) == cls()


@pytest.mark.parametrize("name", FROM_FILES)
def test_absent_files_are_named_with_where_they_were_looked_for(name, tmp_path):
    with pytest.raises(NotApplicable, match=rf"not on this machine: looked for .* in {tmp_path}; set folder="):
        registry.find("datasets", name, folder=str(tmp_path)).load()


@pytest.mark.parametrize(
    "settings", [{}, {"validation": 0.2}, {"tuning": 0.1}, {"validation": 0.2, "tuning": 0.1}], ids=str
)
@pytest.mark.parametrize("name", MADE)
def test_parts_share_no_id_and_test_ids_go_on(name, settings):
    splits = loaded(name, **settings)
    ids = torch.cat([part.ids for part in parts(splits)])
    assert torch.equal(ids.sort().values, torch.arange(len(ids)))
    assert int(splits.test.ids.min()) == len(ids) - len(splits.test)
    assert (splits.validation is None) == ("validation" not in settings)
    assert (splits.tuning is None) == ("tuning" not in settings)


@pytest.mark.parametrize("name", MADE)
def test_a_tuning_part_leaves_the_judges_part_as_it_is(name):
    plain, tuned = loaded(name, validation=0.2), loaded(name, validation=0.2, tuning=0.1)
    assert tuned.validation.digest() == plain.validation.digest() and tuned.test.digest() == plain.test.digest()
    assert set(plain.train.ids.tolist()) == {*tuned.train.ids.tolist(), *tuned.tuning.ids.tolist()}
    assert len(tuned.tuning) == pytest.approx(0.1 * (len(plain.train) + len(plain.validation)), rel=0.1)


@pytest.mark.parametrize("name", MADE)
def test_two_readings_are_equal_and_global_state_is_left_as_found(name):
    before = toy.surroundings()
    again = registry.find("datasets", name).load()
    assert toy.surroundings() == before
    assert [p.digest() for p in parts(again)] == [p.digest() for p in parts(loaded(name))]


@pytest.mark.parametrize("name", MADE)
def test_normalisation_centres_the_training_inputs(name):
    splits = loaded(name)
    if splits.normalize is not None:
        x = splits.train.x.float() / 255
        mean, deviation = splits.normalize
        dims = (0, 2, 3) if x.shape[1] == len(mean) else (0, 1, 2, 3)
        assert x.mean(dims).reshape(-1).tolist() == pytest.approx(mean, abs=0.05)
        assert x.std(dims).reshape(-1).tolist() == pytest.approx(deviation, abs=0.1)


@pytest.mark.parametrize("name", MADE)
def test_a_share_that_cannot_be_held_out_is_refused(name):
    for share in (-0.1, 1.0):
        with pytest.raises(BadInput, match=r"0 <= share < 1"):
            registry.find("datasets", name, validation=share).load()
        with pytest.raises(BadInput, match=r"tuning is the share .* 0 <= share < 1"):
            registry.find("datasets", name, tuning=share).load()
