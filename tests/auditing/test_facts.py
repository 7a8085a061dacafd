"""What an audit says about its origin, its cost, and what it does not prove."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lacunar.auditing import facts
from lacunar.auditing.checks import Duplicates
from lacunar.auditing.compared import Rule, compared
from lacunar.core import masks, named
from lacunar.report.evidence import Item
from tests import problems
from tests.auditing.test_rules import row
from tests.evaluators import toy

NONE = Duplicates(0, 0, 0, 0)


def limits(trial, found=NONE, **how):
    settings = {"trained": True, "procedure": 3, "weighted": False} | how
    return " ".join(facts.limits(trial, ["A note."], found, **settings))


def test_what_was_asked_has_no_raw_ids_and_no_samples():
    trial = toy.world()
    asked = facts.asked(trial, Duplicates(2, 1, 0, 0))
    assert asked["count"] == 60 and asked["of"] == 300 and asked["exact_duplicates_left"] == 2
    assert asked["class_mix"] == {"0": 20, "1": 20, "2": 20} and len(asked["ids_sha256"]) == 64
    assert set(asked) == {"count", "of", "class_mix", "ids_sha256", "exact_duplicates_left", "forgotten_classes",
                          "corrected"}  # fmt: skip


def test_what_ran_and_where():
    trial = toy.world()
    ran = facts.ran(trial.outcome, 5, True, 3)
    assert ran["method"]["name"] == "do_nothing" and len(set(ran["oracle_seeds"])) == 5
    assert facts.ran(trial.outcome, 5, False, 3)["oracle_seeds"] == []
    where = facts.environment(trial, "lacunar audit runs/r1")
    assert where["command"] == "lacunar audit runs/r1" and where["precision"] == "float32"
    assert set(where["data_sha256"]) == {"retain", "forget", "test", "held_out"}
    assert where["weights_before_sha256"] == where["weights_after_sha256"]
    assert facts.environment(trial, None)["command"]
    json.dumps([ran, where], allow_nan=False)


def test_cost_is_compared_with_the_median_retraining():
    outcome = replace(toy.world().outcome, seconds=3.0)
    found = facts.cost(outcome, [6.0, 4.0, 100.0], 9.0)
    assert (found["retrain_seconds"], found["ratio_to_retrain"], found["audit_seconds"]) == (6.0, 0.5, 9.0)
    assert facts.cost(outcome, [], 9.0)["ratio_to_retrain"] is None


def test_limits():
    trial = toy.world(oracles=(toy.Shifted(),))
    plain = limits(trial)
    assert "A note." in plain and "on average" in plain and "backups" in plain
    assert "count alike" in plain and "count alike" not in limits(trial, weighted=True)
    assert "on trust" not in plain and "on trust" in limits(trial, trained=False)
    assert "what the method does by itself" not in plain
    assert "what the method does by itself" in limits(trial, procedure=0)
    assert "2 retained examples are exact copies" in limits(trial, Duplicates(2, 1, 0, 0))
    assert "probably cheaper" not in plain
    problem = trial.outcome.problem
    swapped = replace(trial.outcome, problem=problems.with_parts(problem, problem.forget, problem.retain))
    assert "240 of 300 examples are to be forgotten, more than half" in limits(replace(trial, outcome=swapped))


def test_a_model_that_the_method_made_sparse_is_not_like_dense_oracles():
    trial = toy.world(oracles=(toy.Shifted(1.0),))
    name = next(iter(named.weights(trial.outcome.model)))
    some, none = (masks.full(named.weights(trial.outcome.model), value) for value in (True, False))

    def said(mask, given=None, oracle=trial.oracles[0]):
        problem = replace(trial.outcome.problem, mask=given)
        outcome = replace(trial.outcome, problem=problem, mask=mask)
        return "sparser than the oracles are" in limits(replace(trial, outcome=outcome, oracles=(oracle,)))

    assert said(none) and bool(named.weights(trial.oracles[0])[name].any())
    assert not said(None) and not said(some)
    assert not said(none, given=none), "the oracles are trained under the mask of the problem"
    assert not said(none, oracle=toy.Shifted(0.0)), "these oracles are as sparse"


@pytest.mark.parametrize("verdict", ["pass", "fail", "inconclusive"])
def test_claims_never_overreach(verdict):
    words = facts.claim(verdict, 60, 5).lower()
    assert "60" in words and words.endswith(".")
    assert not any(word in words for word in ("prove", "certif", "complian", "guarantee"))


def test_what_would_settle_it():
    rule = Rule()
    few = replace(compared(row(1.0, original=5.0), rule), verdict="inconclusive", code="TOO_FEW")
    assert facts.settles("inconclusive", few, rule, [3600.0]) == "About 13 more oracles, 13.0 h."
    assert facts.settles("inconclusive", few, rule, [60.0]) == "About 13 more oracles, 13.0 min."
    hopeless = replace(few, code="NO_POWER", original=0.1)
    assert "shadow models" in facts.settles("inconclusive", hopeless, rule, [])
    assert "At least 3" in facts.settles("inconclusive", Item("x", code="NO_ORACLE"), rule, [])
    assert "Repairing" in facts.settles("inconclusive", Item("x", code="FAILED"), rule, [])
    assert facts.settles("fail", few, rule, []) == facts.settles("pass", None, rule, []) == ""
