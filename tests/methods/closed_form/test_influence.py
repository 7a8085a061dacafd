import copy
import dataclasses
import re

import pytest
import torch
from torch import nn

from lacunar.core import masks, named
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.examples import Examples
from lacunar.methods.closed_form.influence import Influence, removal_gradient
from lacunar.training.recipe import Recipe
from lacunar.unlearning.problem import Problem
from tests import problems
from tests.oracles import curvature as oracle
from tests.oracles import influence as loop


def flat_rows(model, examples, recipe, mask=None):
    return torch.stack([named.flat(masks.keep(g, mask)) for g in oracle.gradients(model, examples, recipe)])


def small(masked=False):
    """A trained net of 83 weights in float64, whose 36 retained examples the oracles can invert."""
    problem = problems.problem("vectors", masked=masked)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    named.write(model, {n: w.double() for n, w in named.weights(problem.model).items()})
    double = lambda e: dataclasses.replace(e, x=e.x.double())  # noqa: E731
    return problems.with_parts(problem, double(problem.retain), double(problem.forget), model=model)


def single(problem):
    """The same in float32."""
    seen = dataclasses.replace(problem.seen, x=problem.seen.x.float())
    return dataclasses.replace(problem, model=copy.deepcopy(problem.model).float(), seen=seen)


def direction(problem):
    kept = flat_rows(problem.model, problem.retain, problem.recipe, problem.mask)
    gone = flat_rows(problem.model, problem.forget, problem.recipe, problem.mask)
    n = len(kept) + len(gone)
    weights = torch.cat([torch.full((len(gone),), 1 / n), torch.full((len(kept),), 1 / n - 1 / len(kept))]).double()
    return kept, weights @ torch.cat([gone, kept])


def step(method, problem):
    before, after = (named.flat(named.weights(m)) for m in (problem.model, method(problem).model))
    return after - before


@pytest.mark.parametrize("masked", [False, True], ids=["dense", "masked"])
@pytest.mark.parametrize("solve", ["gram", "cg"])
@pytest.mark.parametrize("damping", [1.0, 0.01])
def test_exact_equals_the_dense_solve_and_the_right_recursion(solve, damping, masked):
    problem = small(masked)
    rows, v = direction(problem)
    matrix = damping * torch.eye(len(v), dtype=torch.float64) + rows.T @ rows / len(rows)
    inside = torch.ones(len(v), dtype=torch.bool) if problem.mask is None else named.flat(problem.mask)
    expected = torch.zeros_like(v)
    expected[inside] = torch.linalg.solve(matrix[inside][:, inside], v[inside])
    found = step(Influence(alpha=2.0, damping=damping, solve=solve), problem)
    assert float((found - 2 * expected).norm() / expected.norm()) < 1e-5
    assert float((loop.sherman_morrison(rows, v, damping) - expected).norm() / expected.norm()) < 1e-10


def test_reference_is_the_published_recursion_and_nearly_a_gradient_step():
    """The published code rescales one vector instead of solving anew, so its correction has rank one."""
    problem = small()
    rows, v = direction(problem)
    published = loop.published(rows[:12], v, 10)
    found = step(Influence(mode="reference", samples=10), problem)
    assert float((found - published).norm() / published.norm()) < 1e-6
    correction = published - v
    assert float(torch.cosine_similarity(correction, rows[0], dim=0).abs()) > 0.999
    exact = step(Influence(samples=10), problem)
    assert float((exact - published).norm()) > 0.1 * float(exact.norm())


def test_reference_depends_on_the_first_example_and_exact_on_none():
    problem = small()
    turned = problems.with_parts(problem, retain=problem.retain.take(torch.arange(len(problem.retain) - 1, -1, -1)))
    for mode, same in (("exact", True), ("reference", False)):
        method = Influence(mode=mode, damping=0.1, samples=100)
        a, b = step(method, problem), step(method, turned)
        gap = float((a - b).norm() / a.norm())
        assert (gap < 1e-9) is same


def test_large_damping_leaves_a_gradient_step():
    problem = small()
    _, v = direction(problem)
    found = step(Influence(damping=1e6, alpha=1e6), problem)
    assert float((found - v).norm() / v.norm()) < 1e-3


def test_fewer_samples_are_drawn_by_seed():
    one, two, again = (step(Influence(samples=5), dataclasses.replace(small(), seed=s)) for s in (0, 1, 0))
    assert torch.equal(one, again) and not torch.equal(one, two)


def test_the_sign_and_scale_of_the_direction_on_ridge_regression():
    # With the true Hessian and alpha = 1 one step is the exact leave-out solution up to second order in N_f / N.
    torch.manual_seed(0)
    n, d, ridge = 4000, 6, 0.1
    x = torch.randn(n, d, dtype=torch.float64)
    x[:80] = x[0]
    y = x @ torch.randn(d, dtype=torch.float64) + torch.randn(n, dtype=torch.float64)

    # The forgotten group is one point many times over, so what is removed is in proportion to its size.
    y[:80] = y[0] + 3.0

    def solution(x, y):
        return torch.linalg.solve(x.T @ x / len(x) + ridge * torch.eye(d, dtype=torch.float64), x.T @ y / len(x))

    model = nn.Linear(d, 1, bias=False).double()
    named.write(model, {"weight": solution(x, y)[None]})
    hessian = x.T @ x / n + ridge * torch.eye(d, dtype=torch.float64)
    gaps = []
    for forget in (80, 40, 20):
        problem = Problem.of(model, Examples.of(x, y), torch.arange(forget), Recipe(loss="squared_error"), device="cpu")
        moved = solution(x, y) + torch.linalg.solve(hessian, removal_gradient(model, problem)["weight"][0])
        gaps.append(float((moved - solution(x[forget:], y[forget:])).norm()))
    assert 3.3 < gaps[0] / gaps[1] < 5 and 3 < gaps[1] / gaps[2] < 5


@pytest.mark.parametrize("edited", [3, 50])
def test_corrected_labels_of_a_ridge_regression_are_undone_exactly(edited):
    # The Hessian of squared errors does not depend on labels, so one step is no approximation here.
    torch.manual_seed(0)
    n, d = 50, 6
    x, ridge = torch.randn(n, d, dtype=torch.float64), 0.1 * torch.eye(d, dtype=torch.float64)
    right = x @ torch.randn(d, dtype=torch.float64)
    seen = right.clone()
    seen[:edited] += 3.0
    hessian = x.T @ x / n + ridge
    model = nn.Linear(d, 1, bias=False).double()
    named.write(model, {"weight": torch.linalg.solve(hessian, x.T @ seen / n)[None]})
    data, recipe = Examples.of(x, seen), Recipe(loss="squared_error")
    problem = Problem.of(model, data, recipe=recipe, corrected=data.labelled(right), device="cpu")
    moved = model.weight[0] + torch.linalg.solve(hessian, removal_gradient(model, problem)["weight"][0])
    assert torch.allclose(moved, torch.linalg.solve(hessian, x.T @ right / n), atol=1e-10)


def test_deleted_and_corrected_rows_weigh_as_in_the_mean_loss_before_and_after():
    problem = small()
    corrected = problem.forget.take(torch.arange(4)).labelled((problem.forget.y[:4] + 1) % 3)
    posed = dataclasses.replace(problem, corrected=corrected)
    gone, kept, right = (flat_rows(problem.model, e, problem.recipe) for e in (posed.forget, posed.retain, corrected))
    before = torch.cat([gone, kept]).mean(0)
    after = torch.cat([kept, right]).mean(0)
    found = named.flat(removal_gradient(posed.model, posed))
    assert torch.allclose(found, before - after, atol=1e-12)
    rows = torch.cat([kept, right])
    matrix = torch.eye(len(found), dtype=torch.float64) + rows.T @ rows / len(rows)
    assert torch.allclose(step(Influence(), posed), torch.linalg.solve(matrix, before - after), atol=1e-7)
    published = loop.published(rows[:42], before - after, 40)
    assert torch.allclose(step(Influence(mode="reference", samples=40), posed), published, atol=1e-7)
    assert Influence()(posed).notes[-1].startswith("influence from 40 retained and corrected examples")


def test_where_restricts_the_system():
    problem = small()
    where = {
        n: torch.full_like(w, n.startswith("2"), dtype=torch.bool) for n, w in named.weights(problem.model).items()
    }
    rows, v = direction(problem)
    inside = named.flat(where)
    block = rows[:, inside]
    matrix = torch.eye(int(inside.sum()), dtype=torch.float64) + block.T @ block / len(rows)
    found = step(Influence(), dataclasses.replace(problem, where=where))
    assert float((found[inside] - torch.linalg.solve(matrix, v[inside])).norm()) < 1e-6
    assert not bool(found[~inside].any())


def test_the_residual_is_told_and_a_bad_one_is_an_error():
    problem = small()
    exact = "influence from 36 retained examples, all there are of the 1000 asked for; relative residual "
    assert Influence()(problem).notes[-1].startswith(exact)
    (told,) = Influence(samples=20, solve="cg")(problem).notes
    assert re.fullmatch(r"influence from 20 retained examples; relative residual \S+ after [1-9]\d* products", told)
    with pytest.raises(NotApplicable, match="raise the damping"):
        Influence(damping=1e-16)(single(problem))


@pytest.mark.parametrize("solve", ["gram", "cg"])
@pytest.mark.parametrize("damping", [1e-5, 1e-6])
def test_little_damping_is_solved_in_float32(solve, damping):
    problem = small()
    wanted = step(Influence(damping=damping, solve=solve, rtol=1e-8), problem)
    found = step(Influence(damping=damping, solve=solve, rtol=1e-8), single(problem))
    assert float((found.double() - wanted).norm() / wanted.norm()) < 0.02


def test_the_limits_of_conjugate_gradients_are_settings():
    with pytest.raises(NotApplicable, match="after 2 iterations"):
        Influence(damping=1e-3, solve="cg", max_iter=2)(small())
    assert Influence(damping=1e-3, solve="cg", max_iter=3, rtol=0.9)(small())
    for settings in ({"rtol": 0.0}, {"rtol": -1.0, "solve": "cg"}, {"max_iter": 0, "solve": "cg"}):
        with pytest.raises(BadInput, match="rtol must be > 0"):
            Influence(**settings)


def test_settings_out_of_range():
    with pytest.raises(BadInput, match="damping must be > 0"):
        Influence(damping=0.0)
