"""Noise, composition, budgets and records of certified removal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.unlearning.certificate import (
    Budget,
    delta_of,
    mu_of,
    noise_for,
    objective_factor,
    residual,
)


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0, 5.0, 20.0])
@pytest.mark.parametrize("delta", [0.1, 1e-5, 1e-12])
def test_noise_is_exact(epsilon, delta):
    assert delta_of(epsilon, 1 / noise_for(epsilon, delta)) == pytest.approx(delta, rel=1e-9)
    assert delta_of(epsilon, 3 / noise_for(epsilon, delta, sensitivity=3.0)) == pytest.approx(delta, rel=1e-9)


@pytest.mark.parametrize(
    ("epsilon", "delta", "exact", "classical"),
    [(0.1, 0.01, 9.54, 31.7), (1.0, 0.01, 1.88, 3.17), (1.0, 1e-5, 3.73, 4.88)],
)
def test_known_ratios_of_noise_to_sensitivity(epsilon, delta, exact, classical):
    assert noise_for(epsilon, delta) == pytest.approx(exact, abs=0.005)
    assert objective_factor(delta) / epsilon == pytest.approx(classical, rel=0.002)
    assert 1.5 * math.exp(-(objective_factor(delta) ** 2) / 2) == pytest.approx(delta)


def test_equal_releases_compose_to_the_root_of_their_number():
    assert noise_for(1.0, 1e-5, releases=25) == pytest.approx(5 * noise_for(1.0, 1e-5))
    budget = Budget(1.0, 1e-5)
    for _ in range(25):
        budget = budget.charged(1 / noise_for(1.0, 1e-5, releases=25))
    assert budget.spent == pytest.approx(budget.allowed) and budget.left == pytest.approx(0, abs=1e-4)
    with pytest.raises(NotApplicable, match=r"the budget is spent: .* retrain"):
        budget.charged(0.01)


def test_a_likelihood_ratio_test_gains_no_more_than_was_promised():
    # The best test between N(0, s² I) and N(v, s² I) in two dimensions looks along v.
    epsilon, delta, draws = 1.0, 0.05, 100_000
    rng = np.random.default_rng(0)
    v = np.array([0.6, 0.8])
    sigma = noise_for(epsilon, delta)
    a, b = sigma * rng.standard_normal((draws, 2)), v + sigma * rng.standard_normal((draws, 2))
    ratio = [(x @ v) / sigma**2 - 1 / (2 * sigma**2) for x in (a, b)]
    hits = [np.mean(r > epsilon) for r in ratio]
    gained = hits[1] - math.exp(epsilon) * hits[0]
    error = math.sqrt(hits[1] / draws + math.exp(2 * epsilon) * hits[0] / draws)
    assert abs(gained - delta) < 4 * error
    assert hits[0] == pytest.approx(norm.sf(sigma * epsilon + 1 / (2 * sigma)), abs=4 * math.sqrt(hits[0] / draws))


def test_limits_of_delta():
    assert delta_of(1.0, 0.0) == 0 and delta_of(1.0, 1e-3) == 0 and delta_of(1.0, 1e3) == pytest.approx(1)
    assert mu_of(50.0, 0.5) > mu_of(1.0, 0.5) > mu_of(1.0, 1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: noise_for(0.0, 0.1),
        lambda: noise_for(1.0, 0.0),
        lambda: noise_for(1.0, 1.0),
        lambda: noise_for(float("inf"), 0.1),
        lambda: noise_for(1.0, 0.1, sensitivity=0.0),
        lambda: noise_for(1.0, 0.1, releases=0),
        lambda: objective_factor(0.0),
    ],
)
def test_promises_that_cannot_be_made(call):
    with pytest.raises(BadInput, match=r"needed|epsilon must be"):
        call()


def test_a_residual_is_a_norm_not_its_square():
    assert residual(np.array([[3.0], [4.0]])) == 5.0
