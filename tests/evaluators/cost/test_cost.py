from __future__ import annotations

from dataclasses import replace

import pytest

from lacunar.core.errors import BadInput
from lacunar.evaluators.cost.cost import Cost
from tests.evaluators import toy


def test_cost_of_an_outcome():
    trial = toy.world()
    used = {"seconds": 2.0, "cpu_seconds": 3.0, "steps": 4, "examples_seen": 5, "peak_bytes": None}
    trial = replace(trial, outcome=replace(trial.outcome, **used))
    found = {m.name: m for m in Cost(retrain_seconds=8.0).measure([trial])}
    assert [found[n].value for n in used] == [2.0, 3.0, 4.0, 5.0, None]
    assert found["ratio_to_retrain"].value == 0.25
    assert "does not tell" in found["peak_bytes"].note
    assert toy.values(Cost().one(trial))["ratio_to_retrain"] is None
    assert found["curvature_products"].value is None
    counted = replace(trial, outcome=replace(trial.outcome, facts={"curvature_products": 7}))
    assert toy.values(Cost().one(counted))["curvature_products"] == 7
    with pytest.raises(BadInput, match="retrain_seconds"):
        Cost(retrain_seconds=0.0)
