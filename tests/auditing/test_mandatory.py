"""Which statistics a verdict rests on."""

from __future__ import annotations

from dataclasses import replace

import torch

from lacunar.auditing import mandatory
from lacunar.report.evidence import Item
from tests.evaluators import toy


def trial(classes=(), oracles=1):
    z, y = torch.zeros(4, 2), torch.tensor([0, 1, 0, 1])
    made = toy.trial((z, y), (z, y), (z, y), (z, y), forgotten_classes=classes)
    return made if not oracles else replace(made, oracles=(made.outcome.model,))


def known(*names):
    return [Item(name, value=0.0) for name in names]


def test_with_controls_differences_to_them_count_and_each_example():
    found = mandatory.traces(known("clipped_did", "auc_forget_vs_control", "clipped_mean"), trial())
    assert found == ["clipped_did", "auc_forget_vs_control", "log_rms_z"]


def test_a_forgotten_class_asks_for_the_mean_and_for_what_a_shift_does_not_move():
    items = [*known("clipped_mean", "clipped_did"), Item("auc_forget_vs_control")]
    found = mandatory.traces(items, trial(classes=(1,)))
    assert found == ["clipped_did", "clipped_mean", "log_rms_z", "profile_kl", "cka_to_oracles"]


def test_without_controls_the_mean_counts():
    assert mandatory.traces(known("clipped_mean"), trial()) == ["clipped_mean", "log_rms_z"]


def test_weights_add_the_weighted_mean():
    assert mandatory.traces(known("clipped_did", "residue_weighted"), trial())[-1] == "residue_weighted"


def test_without_oracles_only_the_plain_mean_is_asked_for():
    assert mandatory.traces(known("residue_mean"), trial(oracles=0)) == ["residue_mean"]


def test_accuracy_on_retained_examples_needs_some():
    assert mandatory.utility(trial()) == ("ra", "ta")
