"""What every scenario must do on every training set that it can pose a problem on; none is known by name."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import pytest
import torch

from lacunar.catalog import registry
from lacunar.core.errors import LacunarError
from lacunar.core.rng import generator_of
from lacunar.data import corrections
from lacunar.data.characters import example_of
from lacunar.data.examples import Examples
from lacunar.data.stream import Stream
from lacunar.unlearning.scenario import Posed, Scenario
from tests.contracts import toy

NAMES = registry.names("scenarios")
ASKED = {"ids": (7, 27), "columns": (1, 3), "remove": (2,), "trigger_size": 2, "margin": 0, "digits": 2}
"""What a user must say, or must say of data as small as these, by the setting's name."""


def _vectors() -> Examples:
    g = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 4
    return Examples.of(torch.randn(60, 5, generator=g) + y[:, None], y, ids=torch.arange(60) * 4 + 3)


def _images() -> Examples:
    g = torch.Generator().manual_seed(1)
    x = torch.randint(1, 256, (60, 1, 8, 8), generator=g, dtype=torch.uint8)
    return Examples.of(x, torch.arange(60) % 3, ids=torch.arange(60) * 4 + 3)


def _texts() -> Examples:
    made = [example_of(f"hello number {i}, how are you?", 40) for i in range(60)]
    return Examples.of(torch.stack([x for x, _ in made]), torch.stack([y for _, y in made]), torch.arange(60) * 4 + 3)


TRAIN = {"vectors": _vectors(), "images": _images(), "texts": _texts()}
GRID = [pytest.param(name, data, id=f"{name}-{data}") for name in NAMES for data in TRAIN]


def asked(name: str) -> Scenario:
    known = {f.name for f in fields(registry.plugin_class("scenarios", name))}
    return registry.find("scenarios", name, **{k: v for k, v in ASKED.items() if k in known})


@dataclass(frozen=True)
class Result:
    """One posed problem, with what was around it; None when it cannot be posed, and then ``why`` says so."""

    posed: Posed | None
    why: str
    before: list[Any]
    after: list[Any]


@cache
def result(name: str, data: str) -> Result:
    """The one run of a scenario on a training set."""
    posed, why = None, ""
    before = [toy.content(TRAIN[data]), toy.surroundings()]
    try:
        posed = asked(name).pose(TRAIN[data], generator_of(0, "scenario"))
    except LacunarError as error:
        why = str(error)
    return Result(posed, why, before, [toy.content(TRAIN[data]), toy.surroundings()])


def posed_by(name: str, data: str) -> Posed:
    found = result(name, data)
    if found.posed is None:
        pytest.skip(found.why)
    return found.posed


def digests(posed: Posed) -> list[Any]:
    ids, corrected = posed.forget_ids.tolist(), posed.corrected and posed.corrected.digest()
    return [ids, posed.seen.digest(), corrected, posed.forgotten_classes, posed.notes, posed.zeroed]


@pytest.mark.parametrize("name", NAMES)
def test_documented_and_settings_round_trip_through_json(name):
    toy.documented("scenarios", name, Scenario)
    assert toy.read_back("scenarios", asked(name)) == asked(name)


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_posed_or_says_in_a_sentence_why_not(name):
    found = [result(name, data) for data in TRAIN]
    assert any(r.posed is not None for r in found)
    assert all(r.posed is not None or len(r.why.split()) > 4 for r in found)


@pytest.mark.parametrize(("name", "data"), GRID)
def test_given_data_and_global_state_are_left_as_found(name, data):
    assert result(name, data).after == result(name, data).before


@pytest.mark.parametrize(("name", "data"), GRID)
def test_forget_ids_are_some_distinct_training_ids(name, data):
    posed = posed_by(name, data)
    ids = posed.forget_ids
    assert ids.dtype == torch.int64 and 0 < len(ids) == len(torch.unique(ids))
    assert bool(TRAIN[data].has(ids).all())
    assert len(ids) < len(TRAIN[data]) or posed.corrected is not None, "something is left to train on"


@pytest.mark.parametrize(("name", "data"), GRID)
def test_training_saw_every_other_row_as_it_is(name, data):
    posed, train = posed_by(name, data), TRAIN[data]
    assert torch.equal(posed.seen.ids, train.ids)
    assert posed.seen.without(posed.forget_ids).digest() == train.without(posed.forget_ids).digest()


@pytest.mark.parametrize(("name", "data"), GRID)
def test_every_corrected_row_is_of_a_forget_id_and_differs(name, data):
    posed = posed_by(name, data)
    if posed.corrected is not None:
        assert posed.corrected.ids.tolist() == posed.forget_ids.tolist()
        assert torch.equal(corrections.differing(posed.seen, posed.corrected), posed.forget_ids)


@pytest.mark.parametrize(("name", "data"), GRID)
def test_a_class_is_called_forgotten_exactly_when_no_row_of_it_is_left(name, data):
    posed = posed_by(name, data)
    stays = posed.seen.without(posed.forget_ids)
    left = stays if posed.corrected is None else stays + posed.corrected
    assert set(posed.forgotten_classes) == TRAIN[data].class_counts().keys() - left.class_counts().keys()


@pytest.mark.parametrize(("name", "data"), GRID)
def test_same_stream_same_problem(name, data):
    posed = posed_by(name, data)
    assert digests(asked(name).pose(TRAIN[data], generator_of(0, "scenario"))) == digests(posed)


@pytest.mark.parametrize("name", NAMES)
def test_data_read_on_demand_are_posed_alike_or_refused_in_a_sentence(name):
    train = TRAIN["vectors"]
    items = list(zip(train.x, train.y.tolist(), strict=True))
    stream = Stream(items, torch.arange(len(train)), train.y, train.ids)
    try:
        posed = asked(name).pose(stream, generator_of(0, "scenario"))
    except LacunarError as error:
        assert len(str(error).split()) > 4
    else:
        assert posed.forget_ids.tolist() == posed_by(name, "vectors").forget_ids.tolist()
        assert isinstance(posed.seen, Stream)


@pytest.mark.parametrize("name", NAMES)
def test_the_only_example_goes_by_correction_alone(name):
    train = TRAIN["vectors"].take(torch.tensor([0]))
    try:
        posed = asked(name).pose(train, generator_of(0, "scenario"))
    except LacunarError as error:
        assert len(str(error).split()) > 4
    else:
        assert posed.corrected is not None
