from __future__ import annotations

import math

import numpy as np
import pytest

from lacunar.core.errors import NotApplicable
from lacunar.evaluators.distances.loss_gap import LossGap
from tests.evaluators.toy import judged


def test_by_hand_against_the_mean_loss_of_the_oracles():
    trial = judged(0, 40, [60, 80])
    found = {m.name: m.value for m in LossGap().one(trial)}
    low, high = math.log1p(math.exp(-3)), math.log1p(math.exp(3))
    own = np.where(np.arange(100) < 40, low, high)
    theirs = (np.where(np.arange(100) < 60, low, high) + np.where(np.arange(100) < 80, low, high)) / 2
    assert found["loss_gap"] == pytest.approx((own - theirs).mean())
    assert found["loss_gap_size"] == pytest.approx(np.abs(own - theirs).mean())
    assert found["loss_correlation"] == pytest.approx(np.corrcoef(own, theirs)[0, 1])
    flat = {m.name: m for m in LossGap().one(judged(0, 100, [60]))}
    assert flat["loss_correlation"].value is None and "all losses are equal" in flat["loss_correlation"].note
    with pytest.raises(NotApplicable, match="oracles"):
        LossGap().measure([judged(0, 40, [])])
