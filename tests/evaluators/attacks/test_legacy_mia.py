from __future__ import annotations

import numpy as np
import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.core.rng import numpy_generator
from lacunar.evaluators.attacks.legacy_mia import LegacyMia
from tests.evaluators import toy
from tests.oracles import svc_attack


@pytest.fixture(scope="module")
def confidences():
    rng = numpy_generator(0, "confidences")
    members, others, judged = rng.beta(8, 0.5, 700), rng.beta(3, 0.7, 700), rng.beta(5, 0.6, 2000)
    members[:100] = members[0]  # exact duplicates, in both groups and across them
    others[:40] = members[0]
    return members, others, judged


def test_merging_duplicates_changes_no_prediction(confidences):
    expected = svc_attack.called_members(*confidences)
    assert 0.05 < expected.mean() < 0.95
    np.testing.assert_array_equal(LegacyMia(rounding=0).called_members(*confidences), expected)


def test_rounding_changes_fewer_than_one_in_a_thousand(confidences):
    expected = svc_attack.called_members(*confidences)
    assert np.mean(LegacyMia().called_members(*confidences) == expected) >= 0.999


def test_protocol():
    trial = toy.world()
    found = {m.name: m for m in LegacyMia(rounding=0).measure([trial])}
    p = {s: trial.logits(s).double().softmax(1).gather(1, trial.labels(s)[:, None]).squeeze(1).numpy()
         for s in ("forget", "retain", "test")}  # fmt: skip
    called = svc_attack.called_members(p["retain"][:120], p["test"], p["forget"])
    assert found["mia_efficacy_legacy"].value == pytest.approx(100 * np.mean(~called))
    assert "120 retained against 120 test" in found["mia_efficacy_legacy"].note
    fit = p["retain"][:60], p["test"][:60]
    tpr = svc_attack.called_members(*fit, p["retain"][60:120]).mean()
    tnr = 1 - svc_attack.called_members(*fit, p["test"][60:]).mean()
    assert found["mia_privacy_legacy"].value == pytest.approx(50 * (tpr + tnr))
    assert "60 retained against 60 test" in found["mia_privacy_legacy"].note


def test_groups_stay_equal_when_fewer_are_retained_than_tested():
    y = torch.arange(30) % 3
    part = (toy.logits_for(y, 1.0, noise=1.0), y)
    few = (part[0][:9], y[:9])
    assert "9 retained against 9 test" in LegacyMia().one(toy.trial(part, few, part))[0].note
    with pytest.raises(BadInput, match="at least 4"):
        LegacyMia().one(toy.trial(part, (part[0][:3], y[:3]), part))


def test_rounding_is_checked():
    with pytest.raises(BadInput, match="rounding"):
        LegacyMia(rounding=0.7)
