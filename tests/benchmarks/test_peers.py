"""The benchmark of two methods: the public ways give what ours gives, and the page comes from the results."""

from __future__ import annotations

import json

import pytest
from benchmarks.speed import peers

from lacunar.core import named
from lacunar.methods.closed_form.fisher_forgetting import FisherForgetting
from tests import problems


def test_the_page_is_that_of_the_results():
    _, *rows = (json.loads(line) for line in peers.RESULTS.read_text().splitlines())
    assert peers.page(rows) == peers.PAGE.read_text()
    assert {row["what"] for row in rows} == set(peers.SECTIONS) and {row["case"] for row in rows} == set(peers.CASES)


def test_the_public_ways_are_those_of_the_methods():
    problem = problems.problem("vectors")
    ours = FisherForgetting().fisher(problem.model, problem)
    step = peers.recursion(problem, 10)
    for found, wanted in (
        (peers.walked(problem, 1), ours),
        (peers.walked(problem, 16), ours),
        (peers.published(problem, 10), step),
    ):
        assert named.norm(named.add(found, wanted, -1.0)) < 1e-4 * named.norm(wanted)


def test_nothing_is_timed_that_does_not_agree(monkeypatch):
    monkeypatch.setattr(peers, "WALKED", 6)
    monkeypatch.setattr(peers, "walked", lambda problem, size: named.weights(problem.model))
    with pytest.raises(SystemExit, match="the ways do not give the same result"):
        peers.measure("small_cnn, 1x28x28")
