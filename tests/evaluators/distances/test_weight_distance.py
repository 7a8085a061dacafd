from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from lacunar.evaluators.distances.weight_distance import WeightDistance
from tests.evaluators import toy


def test_relative_distance():
    trial = toy.world()
    assert WeightDistance().one(trial)[0].value is None, "the toy model is zero, so relative to what?"
    trial = trial.seen_as(trial.outcome.problem.model)
    trial.outcome.problem.model.shift.data.fill_(2.0)
    assert WeightDistance().one(trial)[0].value == 0
    moved = trial.seen_as(toy.Shifted(3.0))
    assert WeightDistance().one(moved)[0].value == pytest.approx(0.5)


def test_each_tensor_by_itself():
    trial = toy.world()
    nets = [nn.Linear(2, 2) for _ in range(2)]
    with torch.no_grad():
        for net, weight, bias in zip(nets, (1.0, 4.0), (3.0, 3.0), strict=True):
            net.weight.fill_(weight)
            net.bias.fill_(bias)
    outcome = replace(trial.outcome, problem=replace(trial.outcome.problem, model=nets[0]), model=nets[1])
    found = {m.name: m.value for m in WeightDistance(layers=True).one(replace(trial, outcome=outcome))}
    assert found["weight_distance_layer[weight]"] == pytest.approx(3)
    assert found["weight_distance_layer[bias]"] == 0
    assert found["weight_distance"] == pytest.approx((4 * 9 / (4 * 1 + 2 * 9)) ** 0.5)
    assert [m.name for m in WeightDistance().one(replace(trial, outcome=outcome))] == ["weight_distance"]
