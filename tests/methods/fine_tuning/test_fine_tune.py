import torch
import torch.nn.functional as F

from lacunar.core import named
from lacunar.methods.fine_tuning.fine_tune import FineTune
from tests import problems
from tests.methods import edited
from tests.oracles import plain_loop


def test_equals_a_plain_loop():
    problem = problems.problem("vectors", seed=5)
    plain = plain_loop.train(
        problem.model, problem.retain, lambda m, x, y: F.cross_entropy(m(x), y), epochs=3, lr=0.02, batch_size=8,
        momentum=0.9, weight_decay=5e-4, seed=5,
    )  # fmt: skip
    ours = FineTune(epochs=3, lr=0.02, batch_size=8)(problem).model
    assert torch.allclose(named.flat(named.weights(ours)), named.flat(named.weights(plain)), atol=1e-6)


def test_corrected_rows_are_trained_on():
    problem = edited.relabelled()
    assert edited.wrongly(FineTune(epochs=40, lr=0.1, batch_size=10)(problem).model, problem) < 0.35
