from __future__ import annotations

import re

import pytest
import torch

from lacunar.auditing.signals import margins
from lacunar.core import stats
from lacunar.core.errors import NotApplicable
from lacunar.evaluators.attacks.legacy_mia import LegacyMia
from lacunar.evaluators.attacks.mia import Mia
from tests.evaluators import toy


def found_in(trial, **settings):
    return {m.name: m for m in Mia(**settings).one(trial)}


def test_auc_of_margins_against_matched_controls():
    trial = toy.world()
    found = found_in(trial)["auc_forget_vs_control"]
    # The class mix is uniform and every held-out example serves, so the controls are all of them.
    expected = stats.delong(margins(trial, "forget"), margins(trial, "held_out"))
    assert (found.value, found.low, found.high) == pytest.approx(tuple(expected))
    assert found.value > 0.8 and found.n == 60


def test_the_attacker_has_power_and_calls_members_members():
    kept, gone = found_in(toy.world(forget_margin=2.0)), found_in(toy.world(forget_margin=0.0))
    assert kept["attack_power"].low > 0.5 and kept["attack_power"].note == "120 against 120"
    assert kept["attack_balanced_accuracy"].value > 0.7
    assert kept["attack_member_share"].value > 3 * gone["attack_member_share"].value
    assert kept["attack_auc"].value > 0.8 > 0.6 > gone["attack_auc"].value


def test_an_attacker_without_power_says_so():
    y = torch.arange(120) % 3
    parts = [(toy.logits_for(y, 1.0, noise=1.0, seed=s), y) for s in range(4)]
    found = found_in(toy.trial(*parts))
    assert found["attack_power"].low <= 0.5 <= found["attack_power"].high
    assert "NO_POWER" in found["attack_auc"].note and "NO_POWER" in found["attack_member_share"].note


def test_few_controls_cannot_estimate_small_rates():
    found = found_in(toy.world())
    assert found["tpr_at_1_percent_fpr"].value is None
    assert "not estimable: 240 controls, at least 500" in found["tpr_at_1_percent_fpr"].note
    y = torch.arange(3 * 500) % 3
    many = (toy.logits_for(y, 0.0, noise=1.0, seed=9), y)
    trial = toy.trial((toy.logits_for(y[:60], 6.0), y[:60]), many, many, many)
    rate = found_in(trial)["tpr_at_1_percent_fpr"]
    assert rate.value == 1.0 and 0.9 < rate.low < 1 == rate.high


def test_few_non_members_give_the_auc_alone():
    y = torch.arange(12) % 3
    part = (toy.logits_for(y, 1.0, noise=1.0), y)
    found = found_in(toy.trial(part, part, part, part))
    assert found["auc_forget_vs_control"].value is not None
    assert found["attack_auc"].value is None and "too few" in found["attack_auc"].note


def test_more_members_than_others_move_no_balanced_number():
    y = torch.arange(300) % 3
    validation = (toy.logits_for(y, 0.0, noise=1.0, seed=4), y)
    forget = (toy.logits_for(y[:60], 1.0, noise=1.0, seed=5), y[:60])
    results = []
    for copies in (1, 10):
        many = torch.arange(150 * copies) % 3
        retain = (toy.logits_for(many, 2.0, noise=1.0, seed=6), many)
        results.append(found_in(toy.trial(forget, retain, validation, validation)))
    few, ten = results
    for name in ("attack_power", "attack_balanced_accuracy", "attack_auc", "attack_member_share"):
        low, high = (few[name].low, few[name].high) if few[name].low is not None else (0, 1)
        assert low <= ten[name].value <= high, name
    assert "150 against 150" in ten["attack_power"].note


def test_ties_are_named():
    y = torch.zeros(8, dtype=torch.int64)
    part = (torch.zeros(8, 3), y)
    found = found_in(toy.trial(part, part, part, part))
    assert found["auc_forget_vs_control"].value == 0.5
    assert "all scores are equal" in found["auc_forget_vs_control"].note


def test_a_forgotten_class_suppresses_controls_by_name():
    trial = toy.world(forgotten_classes=(0, 1, 2))
    found = found_in(trial)
    assert found["auc_forget_vs_control"].value is None
    assert "class 0, 1, 2 disappears" in found["auc_forget_vs_control"].note
    assert found["attack_auc"].value is not None


def test_it_needs_held_out_examples():
    y = torch.arange(6) % 3
    part = (toy.logits_for(y, 1.0), y)
    with pytest.raises(NotApplicable, match="held-out examples"):
        Mia().measure([toy.trial(part, part, part)])


def test_two_classes_work():
    found = found_in(toy.world(classes=2))
    assert found["attack_power"].value > 0.7


@pytest.mark.parametrize("evaluator", [Mia(), LegacyMia()], ids=["mia", "legacy"])
def test_attacks_say_what_they_look_at_and_how_many_they_compared(evaluator):
    # Public code prints five numbers under look-alike names, none of which says which feature and which sets it is of.
    found = evaluator.measure([toy.world()])
    assert found
    for m in found:
        formula = evaluator.MEASURES[m.name].formula
        assert any(feature in formula for feature in ("φ", "p_y", "SVM", "attacker")), m.name
        assert m.direction in ("match", "information")
        assert m.n is not None or m.value is None
        assert re.search(r"\d", m.note) or m.value is None, f"{m.name} does not say how many it compared"
