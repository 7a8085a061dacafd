import pytest
import torch
import torch.nn.functional as F

from lacunar.core import named
from lacunar.core.errors import BadInput, Diverged
from lacunar.methods.ascent.grad_ascent import GradAscent
from tests import problems
from tests.oracles import plain_loop


def test_equals_a_plain_loop_on_the_negated_loss():
    problem = problems.problem("vectors", seed=5)
    plain = plain_loop.train(
        problem.model, problem.forget, lambda m, x, y: -F.cross_entropy(m(x), y), epochs=3, lr=0.02, batch_size=4,
        momentum=0.9, weight_decay=5e-4, seed=5,
    )  # fmt: skip
    ours = GradAscent(epochs=3, lr=0.02, batch_size=4)(problem)
    assert torch.allclose(named.flat(named.weights(ours.model)), named.flat(named.weights(plain)), atol=1e-6)
    assert ours.notes[0].startswith("mean forget loss over the last epoch: ")


def test_frozen_batchnorm_leaves_buffers_bit_equal():
    problem = problems.problem("images")
    before = dict(problem.model.named_buffers())
    for policy, same in (("frozen", True), ("train", False)):
        after = dict(GradAscent(batchnorm=policy)(problem).model.named_buffers())
        assert all(torch.equal(after[n], before[n]) for n in before) == same


def test_stops_at_the_loss_asked_for(digits):
    problem = digits.problem(digits.flipped)
    outcome = GradAscent(epochs=50, lr=0.01, batch_size=16, stop_loss=1.0)(problem)
    assert len(outcome.history) < 50 and "reached" in outcome.notes[0]
    assert -outcome.history[-1]["loss"] >= 1.0 > -outcome.history[-2]["loss"]
    with pytest.raises(BadInput, match="stop_loss is a mean loss > 0"):
        GradAscent(stop_loss=0.0)


def test_divergence_is_an_error_with_the_step(digits):
    with pytest.raises(Diverged, match="lower the learning rate"):
        GradAscent(epochs=50, lr=1e18)(digits.problem(digits.flipped))
