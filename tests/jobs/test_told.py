"""What a job has to say."""

from __future__ import annotations

import shlex
from pathlib import Path

from lacunar.jobs.request import Request
from lacunar.jobs.told import Told, unlearning_of


def test_a_job_says_that_all_is_well_unless_it_says_otherwise():
    assert (Told({}).code, Told({}).hint, Told({}).lines) == (0, "", ())


def test_the_hint_repeats_code_and_quotes_paths():
    hint, own = unlearning_of(Path("my runs/a"), Request(model="mycode:build", data="digits")).splitlines()
    words = shlex.split(hint.removeprefix("next: "))
    assert words[:4] == ["lacunar", "unlearn", "--weights", "my runs/a"]
    assert words[4:6] == ["--model", "mycode:build"] and "--data" not in words
    assert words[-2:] == ["--out", "my runs/a-fine_tune"] and "--scenario" in words
    assert own == "for a list of ids of your own, --forget ids.csv instead of --scenario"


def test_where_a_scenario_was_recorded_it_is_not_replaced():
    assert "--scenario" not in unlearning_of(Path("a"), Request(scenario="whole_class:label=1"))
