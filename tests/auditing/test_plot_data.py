"""The numbers behind the plots."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from sklearn.metrics import roc_auc_score

from lacunar.auditing import plot_data as module
from lacunar.auditing.comparison import Panel
from lacunar.auditing.plot_data import curves
from lacunar.auditing.signals import margins
from tests.evaluators import toy


@pytest.fixture
def panel():
    return Panel.of(toy.world(oracles=tuple(toy.Shifted(s) for s in (-0.2, 0.1, 0.4))), [])


def test_every_curve(panel):
    found = curves(panel)
    json.dumps(found, allow_nan=False)
    assert set(found) == {"margins", "losses", "roc", "per_class", "history"}
    assert found["margins"]["forget"] == pytest.approx(margins(panel.unlearned, "forget").tolist(), abs=1e-4)
    assert [len(v) for v in found["margins"]["oracle_forget"]] == [60] * 3
    assert len(found["margins"]["control"]) == 240 and len(found["losses"]["test"]) == 120
    assert len(found["losses"]["oracle_forget"]) == 180


def test_roc_has_the_area_of_the_scores(panel):
    roc = curves(panel)["roc"]
    assert (roc["n_positive"], roc["n_negative"]) == (60, 240) and len(roc["oracles"]) == 3
    area = torch.trapezoid(torch.tensor(roc["tpr"]), torch.tensor(roc["fpr"]))
    scores = torch.cat([margins(panel.unlearned, s) for s in ("forget", "held_out")])
    assert float(area) == pytest.approx(roc_auc_score([1] * 60 + [0] * 240, scores), abs=1e-4)


def test_per_class_accuracy(panel):
    found = curves(panel)["per_class"]
    assert found["classes"] == [0, 1, 2]
    z, y = panel.unlearned.logits("test"), panel.unlearned.labels("test")
    expected = [100 * float((z[y == c].argmax(1) == c).double().mean()) for c in range(3)]
    assert found["after"] == pytest.approx(expected, abs=1e-3)
    assert all(
        low <= m <= high
        for low, m, high in zip(found["oracle_low"], found["oracle_mean"], found["oracle_high"], strict=True)
    )


def test_without_oracles(panel):
    found = curves(Panel(panel.unlearned, panel.original))
    assert found["margins"]["oracle_forget"] == [] and found["roc"]["oracles"] == []
    assert found["per_class"]["oracle_mean"] == [None] * 3 and found["losses"]["oracle_forget"] == []


def test_what_cannot_be_drawn_is_left_empty():
    gone = curves(Panel.of(toy.world(forgotten_classes=(0, 1, 2)), []))
    assert gone["roc"] == {} and gone["margins"]["control"] == [] and gone["margins"]["forget"]
    broken = curves(Panel.of(toy.world().seen_as(toy.Shifted(float("nan"))), []))
    assert broken["margins"] == broken["per_class"] == {}


def test_long_lists_are_subsampled_by_seed(panel, monkeypatch):
    monkeypatch.setattr(module, "MOST", 20)
    first = curves(panel)
    assert len(first["margins"]["forget"]) == 20 and len(first["roc"]["fpr"]) <= 20
    assert first["margins"]["forget"] == curves(panel)["margins"]["forget"]
    other = Panel.of(replace(panel.unlearned, seed=1), [])
    assert curves(other)["margins"]["forget"] != first["margins"]["forget"]
