"""The operating curve at its smallest: a retrained model, one that forgot nothing, and an attacker."""

from __future__ import annotations

import pytest
import torch
from benchmarks.audit_operating_curve import attackers, run


@pytest.fixture(scope="module")
def class_request():
    return run.world("class", originals=1, oracles=5)


def test_attackers_meet_the_mean_of_the_oracles(class_request):
    problem, oracles = class_request.problem, class_request.oracles
    target = sum(attackers.mean_margin(o, problem) for o in oracles) / len(oracles)
    before = attackers.mean_margin(problem.model, problem)
    for name in ("bias shift", "stopped ascent"):
        fooled = attackers.ATTACKERS[name](problem.model, problem, oracles, class_request.test)
        assert abs(attackers.mean_margin(fooled, problem) - target) < 0.2 * abs(before - target), name
    assert attackers.mean_margin(problem.model, problem) == before, "the original is left as found"


def test_a_cell_counts_verdicts(class_request):
    found = run.cell(class_request, "do_nothing", 5, audits=1)
    assert found["verdicts"] == {"fail": 1} and "RESIDUE" in found["codes"]
    assert run.cell(class_request, "bias shift", 5, audits=1)["verdicts"] == {"fail": 1}


def test_requests_are_what_they_are_called():
    train, test = run.data()
    assert len(train) == 600 and not set(train.ids.tolist()) & set(test.ids.tolist())
    assert run.asked("mislabelled", train).tolist() == list(range(48))
    assert bool((run.asked("random", train) >= 48).all()) and len(run.asked("mixed", train)) == 60
    assert set(train.where(run.asked("class", train)).y.tolist()) == {3}


def test_the_page_gives_rates_with_intervals():
    counts = {"verdicts": {"pass": 9, "fail": 1}, "codes": {"RESIDUE": 1}, "audits": 10}
    (table,) = run.tables([{"request": "class", "model": "retrain", "k": 5, **counts}])
    assert table.rows == (("retrain", "5", "90", "55 .. 100", "10", "0", "RESIDUE"),)
    assert torch.get_num_threads() == 1
