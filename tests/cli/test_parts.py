"""Which held-out examples the method may look at, and which only the judge has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lacunar.core.files import read_json
from lacunar.jobs import audit, unlearn
from lacunar.jobs.request import Request
from tests.cli.conftest import call

TRAIN = {"--model": "mlp:hidden=8", "--data": "digits:validation=0.2", "--recipe": "epochs=2", "--out": "base"}
UNLEARN = {"--weights": "base", "--forget": "ids.csv", "--method": "fine_tune", "--set": "epochs=1", "--out": "run"}
FEW = {"--oracles": "3", "--procedures": "0", "--quiet": ""}


@pytest.fixture
def base(folder):
    assert call("train", {**TRAIN, "--quiet": ""}).code == 0
    return folder


def test_a_data_set_with_a_validation_part_is_trained_unlearned_and_audited(base):
    assert call("unlearn", {**UNLEARN, "--quiet": ""}).code == 0
    said = call("audit", {**FEW, "--json": ""}, "run")
    assert said.code in (0, 3, 4), said.err
    job = audit.check(base / "run", Request())
    assert job.outcome.problem.tuning is None and len(job.held_out) == 287
    ids = job.outcome.problem.seen.ids
    assert len(ids) == 1151 and not bool(job.outcome.problem.seen.has(job.held_out.ids).any())


def test_tuning_names_examples_for_the_method(base):
    asked = Request(weights="base", forget="ids.csv", method="fine_tune")
    assert unlearn.check(asked).problem.tuning is None
    job = unlearn.check(replace(asked, tuning="usercode:more_digits"))
    assert len(job.problem.tuning) == 10 and len(job.given.parts.held_out) == 287
    # After the training, validation and test examples: nobody's ids.
    assert int(job.problem.tuning.ids.min()) == 1797


def test_the_whole_path_with_tuning_examples(base):
    asked = {**UNLEARN, "--tuning": "usercode:more_digits", "--quiet": ""}
    assert call("unlearn", asked).code == 0
    assert read_json("run/request.json")["asked"]["tuning"] == "usercode:more_digits"
    said = call("audit", FEW, "run")
    assert said.code == 2 and "repeat --tuning on the command line" in said.err
    said = call("audit", {**FEW, "--tuning": "usercode:more_digits"}, "run")
    assert said.code in (0, 3, 4), said.err


def test_a_data_set_without_a_tuning_part(base):
    said = call("unlearn", {**UNLEARN, "--tuning": "digits"})
    assert said.code == 2 and "digits has no tuning part; name examples that were not trained on" in said.err


def test_the_tuning_part_of_a_data_set_is_the_methods(folder):
    both = {**TRAIN, "--data": "digits:validation=0.2,tuning=0.1", "--quiet": ""}
    assert call("train", both).code == 0
    job = unlearn.check(Request(weights="base", forget="ids.csv", method="fine_tune"))
    parts = job.given.parts
    assert len(job.problem.tuning) > 0 and not bool(parts.held_out.has(job.problem.tuning.ids).any())
    assert call("unlearn", {**UNLEARN, "--quiet": ""}).code == 0
    assert call("audit", FEW, "run").code in (0, 3, 4)
