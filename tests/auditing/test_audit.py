"""Does the auditor reject a model that forgot nothing, spare a retrained one, and admit when it cannot tell?"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from lacunar.auditing.audit import Forecast, audit, forecast
from lacunar.catalog import registry
from lacunar.core import named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.rng import seed_of
from lacunar.core.weights import model_state
from lacunar.evaluators.distances.disparity import Disparity
from lacunar.evaluators.utility.accuracy import Accuracy
from lacunar.training.watch import Watch
from tests import problems
from tests.auditing.test_comparison import Broken


def outcome_of(world, method, ids=None, **settings):
    return registry.find("methods", method, **settings)(world.problem(world.flipped if ids is None else ids))


def items(found):
    return {i.name: i for i in found.items}


@pytest.fixture(scope="module")
def nothing(digits, digits_oracles):
    """The audit of doing nothing about mislabelled digits."""
    return audit(outcome_of(digits, "do_nothing"), digits.test, oracles=digits_oracles[:5])


@pytest.fixture(scope="module")
def retrained(digits, digits_oracles):
    """The audit of exact deletion."""
    return audit(outcome_of(digits, "retrain"), digits.test, oracles=digits_oracles[:5], procedure_on_oracle=2)


@pytest.fixture(scope="module")
def scrambled(digits, digits_oracles):
    """The audit of throwing the model away."""
    return audit(outcome_of(digits, "random_weights"), digits.test, oracles=digits_oracles[:5])


@pytest.fixture(scope="module")
def short(digits):
    """The same digits with right labels and a quarter of the training."""
    recipe = replace(digits.recipe, epochs=15)
    train = digits.train.without(digits.flipped)
    return replace(digits, train=train, recipe=recipe, model=recipe.fit(train, 0))


def oracles_of(world, ids, first=0, k=3):
    problem = world.problem(ids)
    return [world.recipe.fit(problem.retain, seed_of(0, "oracle", first + i)) for i in range(k)]


def test_doing_nothing_fails(nothing):
    assert (nothing.verdict, nothing.tier, nothing.exit_code) == ("fail", 1, 3)
    did = items(nothing)["clipped_did"]
    assert (did.verdict, did.code, did.mandatory) == ("fail", "RESIDUE", True)
    assert did.rho == pytest.approx(1.0) and did.p < 1e-4
    assert "100 % of the trace" in nothing.reason and nothing.settles == ""
    assert all(c.ok for c in nothing.controls)


def test_retraining_passes(retrained):
    assert (retrained.verdict, retrained.exit_code) == ("pass", 0), retrained.reason
    did = items(retrained)["clipped_did"]
    assert did.verdict == "pass" and -0.5 < did.rho_low < did.rho_high < 0.5
    assert items(retrained)["ta"].verdict == items(retrained)["ra"].verdict == "pass"
    assert items(retrained)["auc_forget_vs_control"].value < 0.1, "like the oracles, nowhere near one half, and fine"
    assert "On average over the 48" in retrained.claim


def test_random_weights_fail_utility(scrambled):
    assert scrambled.verdict == "fail"
    assert {items(scrambled)[n].code for n in ("ra", "ta")} == {"UTILITY"}
    assert scrambled.reason.startswith("Accuracy on retained examples") and scrambled.reason.endswith(".")


def test_retraining_is_closest_to_the_target_of_every_number(nothing, retrained, scrambled):
    compared = {n: i for n, i in items(retrained).items() if i.direction == "match" and i.p is not None}
    assert len(compared) > 15
    for name, item in compared.items():
        assert item.p > 0.01, name
        assert abs(item.gap) <= abs(items(scrambled)[name].gap) + item.detectable, name
        if name in ("ua", "margin_forget", "loss_forget", "auc_forget_vs_control", "mia_efficacy_legacy", "profile_kl"):
            assert abs(item.gap) < abs(items(nothing)[name].gap) and items(nothing)[name].p < 0.05, name


def test_without_oracles_it_never_passes(digits):
    for method in ("do_nothing", "random_weights"):
        found = audit(outcome_of(digits, method), digits.test, oracles=0)
        assert (found.verdict, found.tier, found.exit_code) == ("inconclusive", 0, 4)
        assert items(found)["residue_mean"].code == "NO_ORACLE" and found.controls == ()
        assert "no retrained model" in found.reason and "At least 3" in found.settles


def test_a_broken_model_fails_even_without_oracles(digits):
    outcome = outcome_of(digits, "do_nothing")
    broken = digits.recipe.fresh(3)
    with torch.no_grad():
        next(broken.parameters()).fill_(float("inf"))
    found = audit(outcome.with_model(broken), digits.test, oracles=0)
    assert found.verdict == "fail" and items(found)["weights_finite"].code == "INVARIANT"
    shown = {m.name: m for m in found.measurements}
    assert "failed: " in shown["mia"].note and shown["mia"].value is None
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_request_that_leaves_no_trace_is_undecidable(short):
    ids = torch.arange(100, 112)
    found = audit(outcome_of(short, "do_nothing", ids), short.test, oracles=oracles_of(short, ids))
    assert found.verdict == "inconclusive"
    did = items(found)["clipped_did"]
    assert did.code == "NO_POWER" and not next(c for c in found.controls if c.name == "original").ok
    assert "Not even the original" in found.reason and found.settles


def test_a_forgotten_class_is_judged_by_the_oracles_alone(short):
    ids = short.train.ids[short.train.y == 3]
    *oracles, retrained = oracles_of(short, ids, k=4)
    outcome = outcome_of(short, "do_nothing", ids)
    found = audit(outcome, short.test, oracles=oracles)
    table = items(found)
    assert found.asked["forgotten_classes"] == [3]
    for name in ("clipped_mean", "log_rms_z", "profile_kl", "cka_to_oracles"):
        assert table[name].mandatory
    assert table["clipped_mean"].verdict == "fail"
    for name in ("clipped_did", "auc_forget_vs_control"):
        assert table[name].value is None and "class 3 disappears" in table[name].reason and not table[name].mandatory
    assert "left out: forgotten class 3" in table["ta"].reason
    assert found.curves["roc"] == {}
    assert audit(outcome.with_model(retrained), short.test, oracles=oracles, procedure_on_oracle=0).verdict == "pass"


def test_oracles_that_saw_the_data_are_not_believed(digits, digits_oracles):
    spoilt = [replace(digits.recipe, epochs=15).fit(digits.train, 100 + i) for i in range(3)]
    outcome = outcome_of(digits, "do_nothing")
    for oracles in (spoilt, [*digits_oracles[:4], spoilt[0]]):
        for model in (outcome.model, digits_oracles[5]):
            found = audit(outcome.with_model(model), digits.test, oracles=oracles, procedure_on_oracle=0)
            assert found.verdict != "pass"
            assert items(found)["residue_did"].verdict != "pass"


def test_controls_from_the_training_set_are_not_believed(digits, digits_oracles):
    outcome = outcome_of(digits, "do_nothing").with_model(digits_oracles[5])
    retain = outcome.problem.retain.take(torch.arange(200))
    with pytest.raises(BadInput, match="200 ids are in the held-out set and in the retain set"):
        audit(outcome, digits.test, held_out=retain, oracles=digits_oracles[:5])
    renumbered = replace(retain, ids=retain.ids + 10_000)
    found = audit(outcome, digits.test, held_out=renumbered, oracles=digits_oracles[:5])
    assert found.verdict == "inconclusive"
    assert items(found)["held_out_unseen"].code == "CONTROL_BROKEN" and "200 of 200 held-out" in found.reason


def test_forgetting_other_rows_than_asked_does_not_pass(short):
    """Ids that do not fit the rows: the model was retrained without 48 rows, but the audit asks about 48 others."""
    asked, gone = torch.arange(100, 148), torch.arange(200, 248)
    outcome = outcome_of(short, "do_nothing", asked).with_model(oracles_of(short, gone, k=1)[0])
    found = audit(outcome, short.test, oracles=oracles_of(short, asked), procedure_on_oracle=0)
    assert found.verdict != "pass"


def test_the_judge_reads_only(digits, digits_oracles):
    outcome = outcome_of(digits, "do_nothing")
    models = (outcome.model, outcome.problem.model, *digits_oracles[:3])
    before = [named.digest(model_state(m)) for m in models], [m.training for m in models], torch.get_rng_state()
    audit(outcome, digits.test, oracles=digits_oracles[:3])
    assert [named.digest(model_state(m)) for m in models] == before[0]
    assert [m.training for m in models] == before[1] and torch.equal(torch.get_rng_state(), before[2])


def test_oracles_are_trained_when_a_number_is_given():
    problem = problems.problem("images", masked=True)
    fresh = replace(problem.retain, ids=problem.retain.ids + 1000, x=255 - problem.retain.x)
    titles = []

    def watch(title):
        titles.append(title)
        return Watch()

    found = audit(registry.find("methods", "fine_tune", epochs=1)(problem), fresh, oracles=3, watch=watch)
    assert titles == [f"oracle {i} of 3" for i in (1, 2, 3)] + [f"procedure on oracle {i} of 3" for i in (1, 2, 3)]
    assert found.ran["oracles"] == 3 and len(found.ran["oracle_seeds"]) == 3 and found.tier == 1
    assert found.cost["retrain_seconds"] > 0 and found.cost["ratio_to_retrain"] > 0
    ratio = next(m for m in found.measurements if m.name == "ratio_to_retrain")
    assert ratio.value == pytest.approx(found.cost["ratio_to_retrain"])
    assert items(found)["mask_kept"].verdict == "pass"


def test_weights_add_a_mandatory_statistic(digits, digits_oracles):
    weights = {int(i): float(i) for i in digits.flipped}
    found = audit(outcome_of(digits, "do_nothing"), digits.test, oracles=digits_oracles[:3], weights=weights)
    table = items(found)
    assert table["residue_weighted"].mandatory and table["residue_weighted"].verdict == "fail"
    assert not table["residue_weighted_did"].mandatory
    assert not any("count alike" in sentence for sentence in found.limits)


def test_extra_evaluators_are_shown_and_do_not_count(digits, digits_oracles):
    extra = (Accuracy(per_class=True), Broken(), Disparity())
    found = audit(outcome_of(digits, "do_nothing"), digits.test, oracles=digits_oracles[:3], extra_evaluators=extra)
    table = items(found)
    assert table["ta_class[4]"].verdict == "information" and len(table["ta_class[4]"].oracles) == 3
    assert len([i for i in found.items if i.name == "ta"]) == 1
    assert "planted" in next(m for m in found.measurements if m.name == "broken").note


def test_what_an_audit_holds(nothing):
    text = json.dumps(nothing.as_dict(), allow_nan=False)
    assert len(text) < 200_000
    assert nothing.asked["count"] == 48 and nothing.ran["method"]["name"] == "do_nothing"
    assert {m.name for m in nothing.measurements} >= {"seconds", "average_gap", "gap_ua", "ratio_to_retrain"}
    ua = items(nothing)["ua"]
    assert ua.verdict == "information" and "too wide" in ua.reason and not ua.mandatory
    assert len({i.name for i in nothing.items}) == len(nothing.items)
    assert nothing.environment["weights_before_sha256"] == nothing.environment["weights_after_sha256"]
    assert any("halves" in s or "served as controls" in s for s in nothing.limits)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"oracles": 2}, "at least 3"),
        ({"procedure_on_oracle": 1}, "0 or at least 2"),
        ({"alpha": 0.0}, "alpha"),
        ({"rho_star": 0.9}, "tightened"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_trained(digits, settings, why):
    def never(title):
        raise AssertionError("something was trained")

    with pytest.raises(BadInput, match=why):
        audit(outcome_of(digits, "do_nothing"), digits.test, watch=never, **settings)


def test_test_ids_from_training_are_refused_before_anything_is_trained(digits):
    def never(title):
        raise AssertionError("something was trained")

    with pytest.raises(BadInput, match="48 ids are in the test set and in the forget set"):
        audit(outcome_of(digits, "do_nothing"), digits.train.where(digits.flipped), watch=never)


def test_plan(digits):
    problem = digits.problem(digits.flipped)
    size = sum(t.numel() for t in model_state(problem.model).values()) * 4
    assert forecast(problem, seconds_per_training=2.0) == Forecast(5, 3, 300, 300 * 552, 8 * size, 10.0)
    assert (
        forecast(problem, 0).seconds is None and forecast(problem, 0).trainings == forecast(problem, 0).procedures == 0
    )
    with pytest.raises(BadInput, match="at least 3"):
        forecast(problem, 2)
    with pytest.raises(NotApplicable, match="no build="):
        forecast(replace(problem, recipe=replace(problem.recipe, build=None)))


@pytest.mark.slow
def test_held_out_oracles_rarely_fail(digits, digits_oracles):
    """Each of sixteen retrained models against three others, through the whole audit: false alarms are rare."""
    retain = digits.train.without(digits.flipped)
    pool = [*digits_oracles, *(digits.recipe.fit(retain, seed_of(0, "oracle", i)) for i in range(6, 16))]
    outcome = outcome_of(digits, "do_nothing")
    verdicts = []
    for i, model in enumerate(pool):
        others = [pool[(i + j) % 16] for j in range(1, 6)]
        found = audit(outcome.with_model(model), digits.test, oracles=others, procedure_on_oracle=0)
        verdicts.append(found.verdict)
    assert verdicts.count("fail") <= 3, "at most 2 alpha, within what chance allows of 16"
    assert verdicts.count("pass") >= 12


def test_accuracy_on_retained_rows_is_demanded_only_where_rows_are_retained():
    problem = problems.all_corrected("vectors")
    test = problem.forget.take(torch.arange(10))
    test = replace(test, ids=test.ids + 1000, x=test.x + 0.5)
    found = audit(registry.find("methods", "retrain")(problem), test, oracles=3, procedure_on_oracle=0)
    demanded = {i.name for i in found.items if i.mandatory}
    assert "ta" in demanded and "ra" not in demanded
    assert "ra" in {i.name for i in audit(outcome_of_kept(), test, oracles=0).items if i.mandatory}


def outcome_of_kept():
    return registry.find("methods", "do_nothing")(problems.problem("vectors"))
