"""Per-example deviations against the formula, and what a shift of all margins does to them."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch

from lacunar.auditing.audit import audit
from lacunar.catalog import registry
from lacunar.core.errors import NotApplicable
from lacunar.evaluators.traces.per_example_z import PerExampleZ, standardised
from lacunar.training import forward
from lacunar.unlearning.method import Outcome
from tests.evaluators import toy


def slow(phi, oracles):
    """z one example at a time, in plain numbers."""
    k, n = len(oracles), len(phi)
    means = [sum(o[i] for o in oracles) / k for i in range(n)]
    variances = [sum((o[i] - means[i]) ** 2 for o in oracles) / (k - 1) for i in range(n)]
    usual = sum(variances) / n
    shrunk = [(4 * usual + (k - 1) * v) / (4 + k - 1) for v in variances]
    return [(phi[i] - means[i]) / math.sqrt(shrunk[i] * (1 + 1 / k)) for i in range(n)]


def test_it_is_the_formula():
    g = torch.Generator().manual_seed(0)
    oracles, phi = torch.randn(5, 7, generator=g, dtype=torch.float64), torch.randn(7, generator=g, dtype=torch.float64)
    assert standardised(phi, oracles).tolist() == pytest.approx(slow(phi.tolist(), oracles.tolist()))


def test_oracles_that_do_not_differ_have_no_scale():
    assert standardised(torch.zeros(3), torch.ones(4, 3)) is None


def test_it_needs_oracles_besides_the_model():
    z, y = torch.zeros(4, 2), torch.tensor([0, 1, 0, 1])
    with pytest.raises(NotApplicable, match="oracles"):
        PerExampleZ().measure([toy.trial((z, y), (z, y), (z, y), (z, y))])


def shifted_bias(model, problem, oracles):
    """The original with one bias per forgotten class lowered until the mean margin is that of the oracles."""

    def mean(net):
        return float(forward.margin(problem.recipe.predict(net, problem.forget), problem.forget.y).mean())

    target, low, high = sum(map(mean, oracles)) / len(oracles), -60.0, 60.0
    head, classes = model[-1], torch.unique(problem.forget.y)
    start = head.bias.detach().clone()
    for _ in range(50):
        middle = (low + high) / 2
        with torch.no_grad():
            head.bias.copy_(start)
            head.bias[classes] += middle
        low, high = (middle, high) if mean(model) < target else (low, middle)
    return model


def test_lowering_one_bias_passes_no_audit(digits):
    ids = digits.train.ids[digits.train.y == 3]
    problem = digits.problem(ids)
    oracles = [digits.recipe.fit(problem.retain, 100 + i) for i in range(5)]
    fooled = shifted_bias(copy.deepcopy(problem.model), problem, oracles)
    outcome = Outcome(problem, registry.find("methods", "do_nothing"), fooled.eval())
    found = audit(outcome, digits.test, oracles=oracles, procedure_on_oracle=0)
    items = {i.name: i for i in found.items}
    assert items["clipped_mean"].verdict == "pass", "the mean itself is fooled"
    assert found.verdict == "fail" and items["profile_kl"].code == "RESIDUE"
    true = audit(replace(outcome, model=digits.recipe.fit(problem.retain, 7)), digits.test, oracles=oracles)
    assert {i.name: i for i in true.items}["profile_kl"].verdict == "pass"
