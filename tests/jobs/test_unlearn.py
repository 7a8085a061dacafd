"""Requests to unlearn: what is refused before anything is computed, and what is said afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lacunar.core.errors import BadInput
from lacunar.core.files import read_json, write_json
from lacunar.core.weights import load_tensors, save_tensors
from lacunar.jobs import select, unlearn
from lacunar.jobs.job import perform
from lacunar.jobs.request import Request

ASKED = Request(
    model="usercode:build",
    weights="base.safetensors",
    data="usercode:train_set",
    forget="ids.csv",
    recipe={"epochs": 1},
    device="cpu",
)
MASKED = replace(ASKED, method="fine_tune:epochs=1", where="where.safetensors")


@pytest.fixture
def masked(folder):
    select.perform(select.check(ASKED, "saliency", {"count": 9}), Path("where.safetensors"))
    return folder


def test_a_mask_that_was_selected_on_this_model_is_taken(masked):
    job = unlearn.check(MASKED)
    assert job.title == "fine_tune" and job.problem.where is not None
    told = perform(job, Path("run"))
    assert told.code == 0 and told.facts["folder"] == "run" and told.lines[0].startswith("fine_tune forgot 3 examples")


def test_one_that_was_selected_on_another_model_is_refused(masked):
    save_tensors("other.safetensors", {n: t + 1 for n, t in load_tensors("base.safetensors").items()})
    with pytest.raises(BadInput, match=r"was selected on another model than these weights, see 'where\.json'"):
        unlearn.check(replace(MASKED, weights="other.safetensors"))
    (masked / "where.json").unlink()  # without a record nobody can tell
    assert unlearn.check(replace(MASKED, weights="other.safetensors"))


def test_a_record_of_another_mask_is_refused_and_another_file_of_that_name_is_not(masked):
    record = read_json("where.json")
    write_json("where.json", {**record, "mask_sha256": "0"})
    with pytest.raises(BadInput, match=r"'where\.json' describes another mask than 'where\.safetensors' holds"):
        unlearn.check(MASKED)
    write_json("where.json", [3, 5, 8])
    assert unlearn.check(MASKED)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"method": None}, "--method is missing"),
        ({"weights": None}, "--weights is missing"),
        ({"forget": None}, "say what must be forgotten"),
        ({"method": "fine_tune:lr=-1.0"}, "lr must be a finite number >= 0"),
    ],
)
def test_what_is_refused(folder, changed, sentence):
    with pytest.raises(BadInput, match=sentence):
        unlearn.check(replace(ASKED, **{"method": "fine_tune", **changed}))


def test_the_seed_of_the_training_is_no_part_of_the_request(folder):
    job = unlearn.check(replace(ASKED, method="fine_tune:epochs=1"))
    assert job.record()["asked"]["settings"]["epochs"] == 1 and job.record()["asked"]["method"] == "fine_tune"
    assert job.problem.seed == 0
