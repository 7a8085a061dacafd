from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import NotApplicable
from lacunar.evaluators.utility.class_profile import ClassProfile
from tests.evaluators import toy


def log_odds(z):
    """The log odds of each class against all others together, from probabilities."""
    p = z.double().softmax(1)
    return (p / (1 - p)).log()


def profile(trial):
    return ClassProfile().measure([trial])[0].value


def test_by_hand():
    trial = toy.world(oracles=(toy.Shifted(0.5), toy.Shifted(1.0)))
    ours = torch.distributions.Normal(*_moments([log_odds(trial.logits("forget"))]))
    theirs = torch.distributions.Normal(*_moments([log_odds(t.logits("forget")) for t in trial.oracle_trials()]))
    expected = torch.distributions.kl_divergence(ours, theirs).mean()
    assert profile(trial) == pytest.approx(float(expected), rel=1e-9)


def _moments(parts):
    joined = torch.cat(parts)
    return joined.mean(0), joined.std(0)


def test_an_oracle_is_compared_with_the_others():
    trial = toy.world(oracles=(toy.Shifted(0.0), toy.Shifted(5.0)))
    near = toy.world(oracles=(toy.Shifted(5.0),))
    assert profile(trial.oracle_trials()[0]) == pytest.approx(profile(near), rel=1e-5)


def test_further_models_score_higher():
    oracles = tuple(toy.Shifted(s) for s in (-0.1, 0.0, 0.1))
    trial = toy.world(oracles=oracles)
    near, far = (profile(trial.seen_as(toy.Shifted(s))) for s in (0.05, 2.0))
    assert 0 <= near < far


def test_it_needs_oracles_and_spread():
    with pytest.raises(NotApplicable, match="retrained oracles"):
        ClassProfile().measure([toy.world()])
    sole = toy.world(oracles=(toy.Shifted(0.0),)).oracle_trials()[0]
    assert [(m.value, m.note) for m in ClassProfile().measure([sole])] == [
        (None, "the only oracle has no other one to be compared with")
    ]
    one = (torch.zeros(3, 3), torch.tensor([0, 1, 2]))
    trial = toy.trial(one, one, one, oracles=(toy.Shifted(1.0),))
    assert profile(trial) is None
