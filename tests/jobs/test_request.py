"""What was asked: defaults, what a folder adds, which of it is code, and the words that say it again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lacunar.catalog.registry import parse_settings
from lacunar.core.errors import BadInput
from lacunar.jobs.request import Request


def test_what_is_left_out_is_taken_from_the_record():
    recorded = Request(model="mlp", data="digits", recipe={"epochs": 3}, scenario="whole_class:label=1", seed=4)
    full = Request(method="fine_tune", seed=2).over(recorded)
    assert (full.model, full.recipe, full.method, full.seed) == ("mlp", {"epochs": 3}, "fine_tune", 2)
    assert full.scenario == "whole_class:label=1"
    own = Request(forget="ids.csv").over(recorded)
    assert own.scenario is None and own.forget == "ids.csv"


def test_a_field_at_its_default_stands_when_it_is_insisted_on():
    recorded = Request(seed=4, device="cuda")
    assert Request().insisting("seed").over(recorded).seed == 0
    assert Request().insisting("seed").over(recorded).device == "cuda"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("model", "mycode.nets:build", True),
        ("model", "mlp:hidden=4", False),
        ("tuning", "mycode:few", True),
        ("scenario", "whole_class:label=1", False),
        ("recipe", "mycode:recipe", True),
        ("recipe", {"epochs": 1}, False),
        ("weights", "a:b", False),
        ("method", None, False),
    ],
)
def test_code_is_told_from_names_and_never_taken_from_a_record(name, value, code):
    recorded = replace(Request(), **{name: value})
    assert recorded.names_code(name) == code
    if not code:
        assert getattr(Request().over(recorded), name) == value
        return
    with pytest.raises(BadInput, match=f"the folder names code, --{name} {value}, which is never taken from a folder"):
        Request().over(recorded)
    assert recorded.code_options() == [f"--{name}", value]


def test_the_words_that_say_it_again():
    asked = Request(
        data="digits",
        id_column="id",
        recipe={"epochs": 3, "optimizer": "sgd", "clip": None, "normalize": [[0.5], [2.0]]},
        settings={"word": "true", "n": 1},
        typed=frozenset({"seed"}),
    )
    words = asked.options()
    said = [(option, word) for option, word in zip(words[::2], words[1::2], strict=True)]
    assert ("--data", "digits") in said and ("--id-column", "id") in said and ("--seed", "0") in said
    settings = {option: ",".join(w for o, w in said if o == option) for option in ("--recipe", "--set")}
    assert parse_settings(settings["--recipe"]) == asked.recipe and "optimizer=sgd" in settings["--recipe"]
    assert parse_settings(settings["--set"]) == asked.settings
    assert asked.options(["data"]) == ["--data", "digits"] and asked.options(["model"]) == []
