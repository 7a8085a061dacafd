"""What would be done, without doing it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lacunar.core.errors import BadInput
from lacunar.jobs.check import check
from tests.cli.conftest import tree
from tests.jobs.asked import OWN

ASKED = replace(OWN, weights="base.safetensors", forget="ids.csv", method="fine_tune:epochs=1")


def test_facts_and_nothing_written(folder):
    before = tree(folder)
    facts = check(replace(ASKED, tuning="usercode:test_set"), "run").facts
    assert facts["forget"]["count"] == 3 and facts["forget"]["classes"] == {"0": 1, "2": 2} and facts["retain"] == 27
    assert (facts["test"], facts["held_out"], facts["tuning"]) == (None, None, 12)
    assert facts["model"] == {"name": "usercode:build", "weights": 67} and facts["data"]["examples"] == 30
    assert {"do_nothing", "fine_tune", "retrain"} <= set(facts["applicable_methods"])
    assert "newton_edit" in facts["applicable_methods"]
    assert tree(folder) == before


def test_methods_that_lack_something_are_not_listed(folder):
    listed = check(ASKED).facts["applicable_methods"]
    assert "sharpness_select" in listed and not [name for name in listed if name.startswith("_")]


def test_the_folder_is_checked_as_well(folder):
    (folder / "run").mkdir()
    (folder / "run/thesis.tex").touch()
    with pytest.raises(BadInput, match="'run' is not empty"):
        check(ASKED, "run")
    assert check(ASKED, "run", force=True).code == 0
    with pytest.raises(BadInput, match=r"'base\.safetensors' is a file"):
        check(ASKED, "base.safetensors")
