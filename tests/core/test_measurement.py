from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lacunar.core.measurement import DIRECTIONS, Measure, Measurement


def test_a_measurement_is_json_with_every_field_under_its_name():
    one = Measurement("accuracy[test]", 93.5, 92.0, 95.0, 1000, 94.0, "match", "%", "of 1000")
    told = json.loads(json.dumps(one.as_dict()))
    assert Measurement(**told) == one
    assert told["name"] == "accuracy[test]" and (told["low"], told["value"], told["high"]) == (92.0, 93.5, 95.0)


def test_what_cannot_be_estimated_has_no_value_and_no_interval():
    one = Measurement("auc", None, note="one class only")
    assert (one.low, one.high, one.n, one.target) == (None, None, None, None)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_each_direction_is_said_in_words(direction):
    assert Measurement("a", 1.0, direction=direction).direction == direction
    said = str(Measure("1 - x", "[0, 1]", direction, plain="how much is left"))
    assert said.startswith("1 - x; in [0, 1]; ")
    words = {
        "higher": "higher is better",
        "lower": "lower is better",
        "match": "match the oracles' value",
        "information": "information only",
    }
    assert said.endswith(words[direction])


def test_no_other_direction():
    with pytest.raises(ValueError, match=r"direction must be one of \('higher', .*got 'up'"):
        Measurement("a", 1.0, direction="up")
    with pytest.raises(ValueError, match="got ''"):
        replace(Measurement("a", 1.0), direction="")
