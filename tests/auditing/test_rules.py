"""The rules from numbers to a verdict, on numbers that are made up."""

from __future__ import annotations

from dataclasses import replace

from lacunar.auditing.compared import Rule, compared
from lacunar.auditing.comparison import Row
from lacunar.auditing.rules import against_procedure, decide, judged, overall
from lacunar.core.measurement import Measure, Measurement
from lacunar.core.rng import numpy_generator
from lacunar.report.evidence import Item

RULE = Rule()
ORACLES = (-0.9, 0.2, 0.4, -0.5, 0.8)


def row(value, original=20.0, oracles=ORACLES, procedure=None, name="clipped_did", unit="", n=60):
    through = oracles[:3] if procedure is None else procedure
    return Row(Measurement(name, value, n=n, unit=unit), original, tuple(oracles), tuple(through))


def verdict(*args, rule=RULE, agree=False, **kwargs):
    item = compared(row(*args, **kwargs), rule)
    through = against_procedure(item, rule)
    return decide(item, item.p, rule, None if through is None else through.p, agree=agree)[:2]


def test_each_outcome():
    assert verdict(20.0) == ("fail", "RESIDUE")
    assert verdict(0.3) == ("pass", "")
    assert verdict(-20.0) == ("fail", "OVER_FORGOTTEN")
    assert verdict(6.0, procedure=(5.5, 6.5, 6.1)) == ("inconclusive", "CONFOUNDED")
    assert verdict(0.3, procedure=(-9.0, -9.5, -8.8)) == ("inconclusive", "MASKED")
    assert verdict(0.3, original=1.0) == ("inconclusive", "NO_POWER")
    assert verdict(20.0, original=1.0) == ("inconclusive", "NO_POWER"), "without power nothing fails either"
    assert verdict(1.0, original=5.0) == ("inconclusive", "TOO_FEW")


def test_a_verdict_speaks_of_a_number_by_its_noun_or_else_by_its_name():
    measure = Measure("none", "[0, 1]", "match", plain="How sure it is", noun="confidence")
    item = compared(replace(row(20.0), measure=measure), RULE)
    assert (item.formula, item.plain, item.noun) == (str(measure), "How sure it is", "confidence")
    assert decide(item, item.p, RULE)[2].startswith("confidence still shows")
    assert decide(replace(item, noun=""), item.p, RULE)[2].startswith("clipped_did still shows")


def test_a_method_that_moves_other_models_is_no_doubt_where_single_examples_agree():
    assert verdict(0.3, procedure=(-9.0, -9.5, -8.8), agree=True) == ("pass", "")
    assert verdict(6.0, procedure=(5.5, 6.5, 6.1), agree=True) == ("inconclusive", "CONFOUNDED")


def test_a_residual_fraction_is_told_as_what_it_is():
    def told(value):
        item = compared(row(value), RULE)
        return decide(item, item.p, RULE)

    assert "has moved away from retraining, beyond the original itself" in told(30.0)[2]
    assert "shows 75 % of the trace" in told(15.0)[2]
    assert told(-6.0)[:2] == ("fail", "RESIDUE"), "a little below retrained models is no over-forgetting"
    assert told(-12.0)[:2] == ("fail", "OVER_FORGOTTEN")


def test_the_procedure_side_is_corrected_as_well():
    through = (0.9, 1.6, 1.2)
    one = compared(row(-1.0, procedure=through), RULE)
    weak = against_procedure(one, RULE)
    assert 0.05 / 3 < weak.p < 0.05
    others = [compared(row(0.2, name=name, procedure=ORACLES[:3]), RULE) for name in ("clipped_mean", "log_rms_z")]
    alone = judged([one], ["clipped_did"], [], RULE)[0][0]
    together = judged([one, *others], ["clipped_did", "clipped_mean", "log_rms_z"], [], RULE)[0][0]
    assert (alone.code, together.code) == ("MASKED", "")


def test_oracles_that_reject_each_other_prove_nothing():
    split = (0.0, 0.001, 0.002, 9.0, 9.001, 9.002, 0.001, 9.001)
    assert verdict(9.0, oracles=split, original=500.0)[0] == "pass", "two clusters are a wide spread, not a broken test"
    many = (0.0,) * 40 + (1.0, -1.0) * 4
    assert verdict(9.0, oracles=many, original=500.0) == ("inconclusive", "CONTROL_BROKEN")


def test_one_oracle_trained_on_the_data_by_mistake_is_not_passed():
    spoilt = (*ORACLES[:4], 20.0)
    assert verdict(20.0, oracles=spoilt) == ("inconclusive", "NO_POWER")
    assert verdict(0.0, oracles=spoilt) == ("inconclusive", "NO_POWER")
    assert verdict(20.0, oracles=(20.0, 19.5, 20.4, 19.9, 20.1)) == ("inconclusive", "NO_POWER")


def test_three_oracles_suffice():
    assert verdict(40.0, original=40.0, oracles=(0.0, 1.0, -1.0)) == ("fail", "RESIDUE")
    assert verdict(0.5, original=40.0, oracles=(0.0, 1.0, -1.0)) == ("pass", "")


def test_without_procedure_the_oracles_decide_alone():
    assert verdict(20.0, procedure=()) == ("fail", "RESIDUE")
    assert verdict(0.3, procedure=()) == ("pass", "")


def test_a_tighter_rule_passes_less():
    assert verdict(0.3, original=8.0) == ("pass", "")
    assert verdict(0.3, original=8.0, rule=Rule(rho_star=0.25)) == ("inconclusive", "TOO_FEW")


def test_utility_fails_below_and_doubts_what_lies_far_above():
    def utility(value, oracles=(95.0, 95.5, 94.8, 95.2, 95.1)):
        item = compared(row(value, oracles=oracles, original=95.0, name="ta", unit="%", n=500), RULE)
        return judged([item], [], ["ta"], RULE)[0][0]

    assert (utility(80.0).verdict, utility(80.0).code) == ("fail", "UTILITY")
    assert "is 80.0 %, retrained models have 95.1 % on average, surely more" in utility(80.0).reason
    assert utility(94.9).verdict == utility(95.4).verdict == "pass"
    assert (utility(100.0).verdict, utility(100.0).code) == ("inconclusive", "CONTROL_BROKEN")
    equal = (100.0,) * 5
    assert utility(99.8, equal).verdict == "pass", "one example of 500 is the grain of the scale"
    assert utility(98.0, equal).verdict == "fail"


def test_holm_runs_over_the_mandatory_items_only():
    items = [compared(r, RULE) for r in (row(2.1), row(0.0, name="ta"), row(0.0, name="ra"), row(9.0, name="ua"))]
    assert 0.05 / 3 < items[0].p < 0.05
    alone = judged(items, ["clipped_did"], [], RULE)[0][0]
    together = judged(items, ["clipped_did"], ["ta", "ra"], RULE)[0]
    assert alone.verdict == "fail"
    assert together[0].verdict != "fail"
    assert together[3].verdict == "information" and "unlike the oracles" in together[3].reason
    assert [i.mandatory for i in together] == [True, True, True, False]


def test_without_oracles_nothing_is_decided():
    item = compared(row(1.0, oracles=(), procedure=()), RULE)
    found, controls = judged([item], ["clipped_did"], [], RULE)
    assert (found[0].verdict, found[0].code, found[0].tier) == ("inconclusive", "NO_ORACLE", 0)
    assert controls == [] and overall(found)[0] == "inconclusive"


def test_controls_are_reported():
    item = compared(row(0.1), RULE)
    original, oracle = judged([item], ["clipped_did"], [], RULE)[1]
    assert original.ok and original.observed.startswith("rejected")
    assert oracle.ok and oracle.observed == "5 of 5 spared"


def test_overall():
    good, bad = Item("clipped_did", "pass", "", "fine", True), Item("ta", "fail", "UTILITY", "broken", True)
    worse, unknown = Item("x", "fail", "RESIDUE", "trace", True), Item("y", "inconclusive", "NO_POWER", "weak", True)
    aside = Item("ua", "information")
    assert overall([good, aside]) == ("pass", "fine", None)
    assert overall([good, bad, worse])[:2] == ("fail", "trace (also: UTILITY)")
    assert overall([good, unknown, aside]) == ("inconclusive", "weak", unknown)
    assert overall([bad, unknown])[0] == "fail"
    assert overall([aside])[0] == "inconclusive", "nothing to rest on is no pass"


def test_a_wrong_recipe_voids_every_comparison():
    void = Item("recipe", "inconclusive", "RECIPE_MISMATCH", "not this recipe", True)
    trace = Item("clipped_did", "fail", "RESIDUE", "trace", True)
    assert overall([trace, void])[:2] == ("inconclusive", "not this recipe")
    moved = Item("where_kept", "fail", "INVARIANT", "moved", True)
    assert overall([trace, void, moved])[0] == "fail", "what needs no oracle still fails"


def test_one_average_with_power_suffices_and_single_examples_must_have_been_seen():
    good = Item("clipped_did", "pass", "", "fine", True)
    for name in ("auc_forget_vs_control", "cka_to_oracles", "profile_kl"):
        for code in ("NO_POWER", "TOO_FEW"):
            assert overall([good, Item(name, "inconclusive", code, "weak", True)])[0] == "pass"
    assert overall([good, Item("log_rms_z", "inconclusive", "TOO_FEW", "weak", True)])[0] == "pass"
    assert overall([good, Item("log_rms_z", "inconclusive", "NO_POWER", "weak", True)])[0] == "inconclusive"
    assert overall([Item("clipped_did", "inconclusive", "NO_POWER", "weak", True)])[0] == "inconclusive"
    assert overall([good, Item("ta", "inconclusive", "UTILITY_OPEN", "open", True)])[:2] == ("inconclusive", "open")


def simulated(effect, draws=500, k=5, model="original"):
    """Verdicts on one statistic of unit spread whose original lies ``effect`` above the oracles."""
    rng, counts = numpy_generator(0, "simulated", effect, model), {"fail": 0, "pass": 0, "inconclusive": 0}
    for _ in range(draws):
        original, oracles = effect + rng.normal(), rng.normal(size=k)
        value = original if model == "original" else rng.normal()
        procedure = oracles[:3] if model == "original" else rng.normal(size=3)
        counts[verdict(value, original, tuple(oracles), tuple(procedure))[0]] += 1
    return {name: n / draws for name, n in counts.items()}


def test_power():
    strong, weak = simulated(5.0), simulated(0.9)
    assert strong["fail"] >= 0.88, "0.9 within the error of the simulation"
    assert strong["pass"] <= 0.01
    assert weak["pass"] <= 0.01 and weak["inconclusive"] >= 0.8


def test_a_retrained_model_rarely_fails():
    assert simulated(20.0, model="oracle")["fail"] <= 0.07
    assert simulated(20.0, model="oracle")["pass"] >= 0.85
