"""Linear CKA and what a change of the last layer alone does to it."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from lacunar.auditing.trial import Trial
from lacunar.catalog import registry
from lacunar.core.errors import NotApplicable
from lacunar.evaluators.distances.representation import Representation, cka


def gram_cka(x, y):
    """CKA by centred Gram matrices of examples, the definition it comes from."""
    n = len(x)
    centre = torch.eye(n, dtype=torch.float64) - 1 / n
    k, l = centre @ (x @ x.T) @ centre, centre @ (y @ y.T) @ centre  # noqa: E741
    return float((k * l).sum() / (k.norm() * l.norm()))


def test_it_is_the_definition_by_gram_matrices():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(20, 5, generator=g, dtype=torch.float64), torch.randn(20, 3, generator=g, dtype=torch.float64)
    assert cka(x, y) == pytest.approx(gram_cka(x, y))
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=g, dtype=torch.float64)).Q
    assert cka(x, 3.0 * x @ rotation + 7.0) == pytest.approx(1.0), "scale, rotation and shift are no difference"
    assert math.isnan(cka(x, torch.ones(20, 2)))


def trial_of(digits, oracles):
    outcome = registry.find("methods", "do_nothing")(digits.problem(digits.flipped))
    return Trial(outcome, digits.test, digits.test, tuple(oracles))


def values(trial):
    return {m.name: m.value for m in Representation().measure([trial])}


def test_a_new_head_on_old_features_is_still_the_original(digits, digits_oracles):
    trial = trial_of(digits, digits_oracles[:3])
    other = copy.deepcopy(trial.outcome.model)
    torch.nn.init.normal_(other[-1].weight, generator=torch.Generator().manual_seed(0))
    found = values(trial.seen_as(other))
    assert found["cka_to_original"] == pytest.approx(1.0)
    assert found["cka_to_oracles"] == pytest.approx(values(trial)["cka_to_oracles"])


def test_an_oracle_is_compared_with_the_others(digits, digits_oracles):
    trial = trial_of(digits, digits_oracles[:3])
    found = values(trial.seen_as(digits_oracles[0]))
    assert 0 < found["cka_to_oracles"] < 0.999
    with pytest.raises(NotApplicable, match="oracles"):
        values(trial_of(digits, ()))
