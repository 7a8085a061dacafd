from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput
from lacunar.core.weights import load_model
from lacunar.data.examples import Examples
from lacunar.methods.fine_tuning.fine_tune import FineTune
from lacunar.methods.fine_tuning.l1_sparse import FADES, L1Sparse
from lacunar.training.callbacks import Callback
from lacunar.training.recipe import Recipe
from lacunar.training.watch import Watch
from lacunar.unlearning.problem import Problem
from tests import problems
from tests.oracles import plain_loop


def l1(model):
    return float(named.flat(named.weights(model)).abs().sum())


@pytest.mark.parametrize("solver", ["subgradient", "proximal"])
def test_gamma_zero_is_fine_tuning_bit_for_bit(solver):
    problem = problems.problem("images")
    ours = L1Sparse(gamma=0.0, epochs=2, batch_size=8, solver=solver)(problem).model
    plain = FineTune(epochs=2, batch_size=8)(problem).model
    assert named.digest(ours.state_dict()) == named.digest(plain.state_dict())


def test_one_subgradient_step_is_the_formula():
    problem = problems.problem("vectors")
    how = {"epochs": 1, "lr": 0.1, "batch_size": 100, "momentum": 0.0, "weight_decay": 0.0}
    penalised = named.weights(L1Sparse(gamma=0.01, **how)(problem).model)
    plain = named.weights(FineTune(**how)(problem).model)
    start = named.weights(problem.model)
    for name, w in penalised.items():
        assert torch.allclose(plain[name] - w, 0.1 * 0.01 * start[name].sign(), atol=1e-7)


def test_equals_a_plain_loop():
    problem = problems.problem("vectors", seed=5)
    steps, done = 3 * problem.retain.steps(8), iter(range(1000))

    def penalised(model, x, y):
        fading = 1e-3 * (1 - next(done) / steps)
        return F.cross_entropy(model(x), y) + fading * sum(p.abs().sum() for p in model.parameters())

    plain = plain_loop.train(
        problem.model, problem.retain, penalised, epochs=3, lr=0.02, batch_size=8, momentum=0.9, weight_decay=5e-4,
        seed=5,
    )  # fmt: skip
    ours = L1Sparse(epochs=3, lr=0.02, batch_size=8, gamma=1e-3)(problem).model
    assert torch.allclose(named.flat(named.weights(ours)), named.flat(named.weights(plain)), atol=1e-6)


@pytest.mark.parametrize("fade", sorted(FADES))
@pytest.mark.parametrize("share", [0.0, 0.25])
def test_fades_integrate_to_their_closed_form(fade, share):
    # In public code "constant" is reachable only without a trailing share of pure fine-tuning, elsewhere not at all.
    method = L1Sparse(gamma=2.0, fade=fade, finetune_share=share)
    total = sum(method.penalty((i + 0.5) / 4000, 0) for i in range(4000)) / 4000
    mean = {"linear_down": 0.5, "linear_up": 0.5, "constant": 1.0, "cosine": 0.5}[fade]
    assert total == pytest.approx(2.0 * mean * (1 - share), rel=1e-3)
    assert method.penalty(0.99, 9) == 0.0 or share == 0.0


def test_published_staircase():
    method = L1Sparse(gamma=1.0, epochs=4, per_epoch=True)
    assert [method.penalty(0.99, e) for e in range(4)] == [1.0, 0.75, 0.5, 0.25]
    trailing = L1Sparse(gamma=1.0, epochs=4, per_epoch=True, finetune_share=0.5)
    assert [trailing.penalty(0.0, e) for e in range(4)] == [1.0, 0.5, 0.0, 0.0]


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_one_proximal_step_on_a_diagonal_quadratic_is_its_closed_form(momentum):
    # min 1/2 (w - t)^2 + gamma |w| from w0: a gradient step to w0 - lr (w0 - t), then a soft threshold.
    target, start = torch.tensor([1.0, -0.3, 0.05, 0.6]), torch.tensor([0.8, -0.01, 0.02, -0.5])
    examples = Examples.of(torch.zeros(8, 1), target.repeat(8, 1))
    model = nn.Linear(1, 4)
    named.write(model, {"weight": torch.zeros(4, 1), "bias": start})
    problem = Problem.of(model, examples, [0], Recipe(loss="squared_error"), device="cpu")
    method = L1Sparse(epochs=1, lr=0.1, gamma=0.2, solver="proximal", momentum=momentum, weight_decay=0.0)
    threshold = 0.1 * 0.2 / (1 - momentum)
    expected = F.softshrink(start - 0.1 * (start - target), threshold)
    found = method(problem).model.bias
    assert torch.allclose(found, expected, atol=1e-7) and (found == 0).tolist() == [
        False,
        momentum > 0,
        momentum > 0,
        False,
    ]
    assert not found[found == 0].view(torch.int32).any(), "zeros are +0.0"


def test_proximal_descent_on_a_quadratic_ends_at_the_soft_threshold():
    # The separable lasso: for each output bias alone the solution is the soft threshold of t, zero pattern included.
    target = torch.tensor([1.0, -0.3, 0.05, 0.6])
    examples = Examples.of(torch.zeros(8, 1), target.repeat(8, 1))
    recipe = Recipe(lambda: nn.Linear(1, 4), loss="squared_error")
    model = nn.Linear(1, 4)
    problem = Problem.of(model, examples, [0], recipe, device="cpu")
    method = L1Sparse(epochs=300, lr=0.1, gamma=0.2, fade="constant", solver="proximal", momentum=0.0, weight_decay=0.0)
    after = method(problem).model
    assert torch.allclose(after.bias, F.softshrink(target, 0.2), atol=1e-5)
    assert (after.bias == 0).tolist() == [False, False, True, False]


def test_both_solvers_shrink_alike():
    # Without the momentum factor, gamma would shrink ten times less in one solver than in the other.
    problem = problems.problem("images")
    how = {"gamma": 2e-3, "epochs": 6, "lr": 0.01, "batch_size": 4, "penalize": "weights"}
    norms = [l1(L1Sparse(solver=s, sticky_from=None, **how)(problem).model) for s in ("subgradient", "proximal")]
    assert norms[0] == pytest.approx(norms[1], rel=0.01)
    assert norms[0] < 0.98 * l1(FineTune(epochs=6, lr=0.01, batch_size=4)(problem).model)


def test_subgradient_makes_no_zeros_and_proximal_makes_zeros_that_survive_saving(digits, tmp_path):
    # A sub-gradient penalty leaves small weights, which must not be told as sparsity.
    problem = digits.problem(digits.flipped)
    how = {"gamma": 1e-2, "epochs": 6, "batch_size": 32}
    soft = L1Sparse(**how)(problem)
    assert not any((w == 0).any() for w in named.weights(soft.model).values())
    assert soft.mask is None and "exact zeros 0.0000" in soft.notes[-1]
    assert {d["after"] for d in soft.facts["density"].values()} == {1.0}
    hard = L1Sparse(solver="proximal", **how)(problem)
    assert hard.mask is not None
    density = masks.density({n: m for n, m in hard.mask.items() if n.endswith("weight")})
    assert density < 0.9 and f"exact zeros {1 - density:.4f}" in hard.notes[-1]
    for name, told in hard.facts["density"].items():
        assert told == {"before": 1.0, "after": pytest.approx(masks.density({name: hard.mask[name]}))}
    saved = load_model(hard.save(tmp_path) / "model.safetensors", problems.mlp())
    for name, w in named.weights(saved).items():
        assert torch.equal(w, named.weights(hard.model)[name])
        assert not w[~hard.mask[name]].any()


class Zeros(Callback):
    def __init__(self):
        self.revived = 0
        self.was = None

    def on_step(self, loop):
        if loop.progress >= 0.5:
            now = torch.cat([w.reshape(-1) == 0 for w in named.weights(loop.model).values() if w.ndim > 1])
            self.revived += 0 if self.was is None else int((self.was & ~now).sum())
            self.was = now


@pytest.mark.parametrize(("sticky", "revives"), [(0.5, False), (None, True)])
def test_sticky_zeros_stay(digits, sticky, revives):
    method = L1Sparse(gamma=1e-2, epochs=6, batch_size=32, solver="proximal", sticky_from=sticky)
    watch = Zeros()
    method(digits.problem(digits.flipped), Watch(callbacks=[watch]))
    assert watch.was.any() and (watch.revived > 0) == revives


def test_only_weights(digits):
    problem = digits.problem(digits.flipped)
    method = L1Sparse(penalize="weights")
    assert set(method.penalised(problem.model)) == {"0.weight", "2.weight"}
    assert set(replace(method, penalize="all").penalised(problem.model)) == set(named.weights(problem.model))


@pytest.mark.parametrize("fade", ["linear_down", "constant"])
def test_a_penalty_that_erases_the_net_is_noted(digits, fade):
    # 0.2 is the default of the public parser.
    problem = digits.problem(digits.flipped)
    told = {g: L1Sparse(gamma=g, fade=fade, epochs=4, batch_size=16)(problem) for g in (1e-4, 0.2)}
    assert [n for n in told[1e-4].notes if "may erase the net" in n] == []
    assert "gamma=0.2 takes up to" in told[0.2].notes[0]
    z = problem.recipe.predict(told[0.2].model, digits.test)
    assert float((z.argmax(1) == digits.test.y).double().mean()) < 0.5
    method, steps = L1Sparse(gamma=0.2, fade=fade), 30
    mean = {"linear_down": (1 + 1 / steps) / 2, "constant": 1.0}[fade]
    assert method.shrinkage(steps) == pytest.approx(0.01 * 0.2 * steps * mean / 0.1)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"fade": "down"}, "unknown fade of l1_sparse 'down'"),
        ({"finetune_share": 1.0}, r"in \[0, 1\), got 1.0"),
        ({"gamma": -1.0}, "gamma must be a finite number >= 0"),
    ],
)
def test_bad_settings(settings, sentence):
    with pytest.raises(BadInput, match=sentence):
        L1Sparse(**settings)
