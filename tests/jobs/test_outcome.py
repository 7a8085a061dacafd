"""Outcomes read back from their folders."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lacunar.core import named
from lacunar.core.errors import BadInput
from lacunar.core.files import read_json, write_json
from lacunar.core.weights import model_state, save_mask
from lacunar.jobs.outcome import read_outcome
from lacunar.jobs.run_folder import OUTCOME
from lacunar.methods.fine_tuning.fine_tune import FineTune
from tests import problems


@pytest.fixture
def saved(tmp_path):
    problem = replace(problems.problem("vectors", masked=True), notes=("of the problem",))
    outcome = FineTune(epochs=1)(problem)
    outcome.save(tmp_path)
    return tmp_path, problem, outcome


def test_an_outcome_comes_back_as_it_was(saved):
    folder, problem, outcome = saved
    found = read_outcome(folder, problem, outcome.method)
    assert found.summary() == outcome.summary() and found.history == outcome.history and len(found.history) == 1
    assert named.digest(model_state(found.model)) == named.digest(model_state(outcome.model))
    assert named.digest(found.mask) == named.digest(outcome.mask)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"history": None}, "is damaged at history: "),
        ({"history": [3]}, r"is damaged at history\.0: "),
        ({"steps": "many"}, "is damaged at steps: "),
        ({"notes": "one"}, "is damaged at notes: "),
        ({"weights_after_sha256": "0"}, "do not belong together"),
    ],
)
def test_damaged_outcomes(saved, change, sentence):
    folder, problem, outcome = saved
    write_json(folder / OUTCOME, read_json(folder / OUTCOME) | change)
    with pytest.raises(BadInput, match=sentence):
        read_outcome(folder, problem, outcome.method)


@pytest.mark.parametrize("name", ["history", "notes", "seconds", "facts"])
def test_outcomes_with_a_part_missing(saved, name):
    folder, problem, outcome = saved
    left = read_json(folder / OUTCOME)
    del left[name]
    write_json(folder / OUTCOME, left)
    with pytest.raises(BadInput, match=f"is damaged at {name}: Field required"):
        read_outcome(folder, problem, outcome.method)
    write_json(folder / OUTCOME, [left])
    with pytest.raises(BadInput, match="is damaged at its top"):
        read_outcome(folder, problem, outcome.method)


def test_the_mask_of_another_model(saved):
    folder, problem, outcome = saved
    save_mask(folder / "mask.safetensors", {"w": next(iter(outcome.mask.values()))})
    with pytest.raises(BadInput, match="do not belong to the same model"):
        read_outcome(folder, problem, outcome.method)
