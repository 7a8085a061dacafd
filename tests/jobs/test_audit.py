"""Judging a run folder as a job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lacunar.core.errors import BadInput
from lacunar.core.files import alone_in
from lacunar.jobs import audit, unlearn
from lacunar.jobs.job import perform
from lacunar.jobs.request import Request
from tests.jobs.asked import OWN

ASKED = replace(OWN, test="usercode:test_set", weights="base.safetensors", forget="ids.csv", method="do_nothing")
REPEATED = Request(model=OWN.model, data=OWN.data, test=ASKED.test)
RUN = Path("run")


@pytest.fixture
def run(folder):
    perform(unlearn.check(ASKED), RUN)
    return folder


def test_the_problem_is_posed_again_and_the_report_written(run):
    job = audit.check(RUN, REPEATED, oracles=0, procedures=2, seed=7)
    assert job.outcome.problem.forget_ids.tolist() == [3, 5, 8] and len(job.test) == 12 and job.held_out is None
    told = audit.perform(job, RUN)
    assert told.facts["report"] == "run/report.html" and Path("run/report.html").is_file()
    assert told.code in (3, 4) and len(told.tables) == 2 and told.lines[0].startswith("verdict: ")
    assert told.lines[-1] == "report: run/report.html" and not Path("run/checkpoints").exists()


@pytest.mark.parametrize(
    ("path", "changed", "option"),
    [("ids.csv", b"3\n5\n", "forget"), ("mask.safetensors", None, "where")],
)
def test_what_has_changed_since_is_refused(run, path, changed, option):
    place = Path("masked")
    perform(unlearn.check(replace(ASKED, where="mask.safetensors")), place)
    if changed is None:
        from lacunar.core.weights import load_mask, save_mask

        save_mask(path, {name: ~live for name, live in load_mask(path).items()})
    else:
        Path(path).write_bytes(changed)
    with pytest.raises(BadInput, match=f"--{option} is not what the run in 'masked' used"):
        audit.check(place, REPEATED)


def test_it_works_alone_in_its_folder(run):
    job = audit.check(RUN, REPEATED, oracles=0)
    with alone_in(RUN), pytest.raises(BadInput, match="another command is at work in 'run'"):
        audit.perform(job, RUN)


def test_test_examples_are_needed(folder):
    perform(unlearn.check(replace(ASKED, test=None)), RUN)
    with pytest.raises(BadInput, match="an audit needs test examples, which training never saw: give --test"):
        audit.check(RUN, replace(REPEATED, test=None))
