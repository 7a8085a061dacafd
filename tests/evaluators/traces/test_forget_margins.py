from __future__ import annotations

import pytest
import torch

from lacunar.auditing.signals import margins
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.evaluators.traces.forget_margins import ForgetMargins, memorization_weights
from tests.evaluators import toy


def test_mean_and_difference_by_hand():
    trial = toy.world()
    found = toy.values(ForgetMargins().measure([trial]))
    phi, held = margins(trial, "forget"), margins(trial, "held_out")
    y, y_held = trial.labels("forget"), trial.labels("held_out")
    by_class = [held[y_held == c].mean() for c in y.tolist()]
    assert found["residue_mean"] == pytest.approx(float(phi.mean()))
    assert found["residue_did"] == pytest.approx(float(phi.mean() - torch.stack(by_class).mean()))
    assert set(found) == {"residue_mean", "residue_did"}


def test_a_shift_of_all_margins_does_not_move_the_difference():
    y = torch.arange(12) % 3
    base = [(toy.logits_for(y, m, noise=1.0, seed=s), y) for s, m in enumerate((3.0, 3.0, 0.0, 0.0))]
    sharper = [(z + 100 * torch.nn.functional.one_hot(y, 3), y) for z, y in base]
    before, after = (toy.values(ForgetMargins().one(toy.trial(*parts))) for parts in (base, sharper))
    assert after["residue_mean"] - before["residue_mean"] == pytest.approx(100, abs=1e-3)
    assert after["residue_did"] == pytest.approx(before["residue_did"], abs=1e-3)


def test_weights_single_out_examples():
    trial = toy.world()
    phi = margins(trial, "forget")
    weights = {int(i): 0.0 for i in trial.part("forget").ids} | {3: 2.0, 5: 6.0}
    found = toy.values(ForgetMargins(weights).one(trial))
    assert found["residue_weighted"] == pytest.approx(float(0.25 * phi[3] + 0.75 * phi[5]))
    held, y_held = margins(trial, "held_out"), trial.labels("held_out")
    y = trial.labels("forget")
    controls = 0.25 * held[y_held == y[3]].mean() + 0.75 * held[y_held == y[5]].mean()
    assert found["residue_weighted_did"] == pytest.approx(found["residue_weighted"] - float(controls))


def test_weights_are_checked():
    trial = toy.world()
    ids = [int(i) for i in trial.part("forget").ids]
    with pytest.raises(BadInput, match="59 forgotten examples have no weight"):
        ForgetMargins({ids[0]: 1.0}).one(trial)
    with pytest.raises(BadInput, match=">= 0, and not all 0"):
        ForgetMargins(dict.fromkeys(ids, 0.0)).one(trial)
    with pytest.raises(BadInput, match=">= 0"):
        ForgetMargins(dict.fromkeys(ids, -1.0)).one(trial)


def test_a_forgotten_class_leaves_the_mean():
    found = {m.name: m for m in ForgetMargins().one(toy.world(forgotten_classes=(0, 1, 2)))}
    assert found["residue_mean"].value is not None
    assert found["residue_did"].value is None and "disappears" in found["residue_did"].note


def test_memorization_weights_by_hand():
    full = torch.tensor([3.0, 1.0, 0.0]).expand(3, 3)
    without = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.5, 1.0], [-1.0, -0.5, 1.0]])
    # Gains 3, 1 and -1 over variances 1, 1/4 and 0, whose median is 1/4.
    raw = torch.tensor([3 / 1.25, 1 / 0.5, 0.0])
    assert memorization_weights(full, without).tolist() == pytest.approx((raw / raw.sum()).tolist())


def test_memorization_weights_of_models_that_agree_are_finite():
    weights = memorization_weights(torch.ones(3, 4), torch.zeros(3, 4))
    assert weights.tolist() == [0.25] * 4


def test_memorization_weights_refuse():
    rows = torch.zeros(3, 4)
    with pytest.raises(BadInput, match="at least 3 models"):
        memorization_weights(rows[:2], rows)
    with pytest.raises(NotApplicable, match="no example"):
        memorization_weights(rows, rows + torch.rand(3, 1))
