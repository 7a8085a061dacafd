"""Gradients of edits and Newton systems against dense matrices and retrained solutions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lacunar.core import named
from lacunar.core.errors import Diverged, NotApplicable
from lacunar.curvature import ggn, newton, per_example
from lacunar.data import corrections
from lacunar.data.examples import Examples
from lacunar.training.recipe import Recipe
from tests.curvature import nets
from tests.oracles import curvature as oracle

PLAIN = Recipe(weight_decay=0.0)


def close(a: dict[str, Tensor], b: dict[str, Tensor], tolerance: float = 1e-9) -> bool:
    return named.norm(named.add(a, b, -1.0)) <= tolerance * (1 + named.norm(b))


def summed(model: nn.Module, examples: Examples, recipe: Recipe) -> dict[str, Tensor]:
    total = named.scale(named.weights(model), 0.0)
    for g in oracle.gradients(model, examples, recipe):
        total = named.add(total, g)
    return total


def edited(rows: Examples, other: Examples, recipe: Recipe, model: nn.Module) -> dict[str, Tensor]:
    """Corrected rows minus forgotten rows, example by example."""
    return named.add(summed(model, other, recipe), summed(model, rows, recipe), -1.0)


@pytest.mark.parametrize("name", ["mlp", "gelu", "residual", "words"])
def test_a_label_edit_takes_one_pass_and_is_exact(name, monkeypatch):
    model, rows, _ = nets.net(name)
    other = corrections.relabel(rows, {2: 1, 5: 2, 8: 0})
    wanted = edited(rows, other, PLAIN, model)
    calls = []
    monkeypatch.setattr(newton, "weighted_sum", lambda *a, **k: calls.append(a))
    found = newton.edit_gradient(model, rows, other, PLAIN)
    assert close(found, wanted) and not calls
    back = newton.edit_gradient(model, other, rows, PLAIN)
    assert close(named.add(found, back), named.scale(wanted, 0.0))


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "squared_error"])
def test_one_pass_serves_every_loss(loss):
    torch.manual_seed(0)
    model = nn.Linear(3, 1).double()
    rows = Examples.of(torch.randn(6, 3, dtype=torch.float64), torch.tensor([0.0, 1, 0, 1, 1, 0]).double())
    recipe = Recipe(loss=loss, weight_decay=0.0)
    other = rows.labelled(1 - rows.y)
    assert close(newton.edit_gradient(model, rows, other, recipe), edited(rows, other, recipe, model))


def test_labels_of_sequences_can_be_edited():
    torch.manual_seed(0)
    model = nets.Tagger().double()
    y = torch.randint(0, 3, (4, 5))
    y[0, 3:] = -100
    rows = Examples.of(torch.randint(0, 9, (4, 5)), y)
    changed = y.clone()
    changed[:, 0] = (changed[:, 0] + 1) % 3
    other = rows.labelled(changed)
    assert close(newton.edit_gradient(model, rows, other, PLAIN), edited(rows, other, PLAIN, model))


def test_features_deletions_and_mixtures():
    model, rows, _ = nets.net("mlp")
    zeroed = corrections.zero_features(rows, [1, 3])
    assert close(newton.edit_gradient(model, rows, zeroed, PLAIN), edited(rows, zeroed, PLAIN, model))
    nothing = rows.take(torch.zeros(0, dtype=torch.int64))
    gone = named.scale(summed(model, rows, PLAIN), -1.0)
    assert close(newton.edit_gradient(model, rows, None, PLAIN), gone)
    assert close(newton.edit_gradient(model, rows, nothing, PLAIN), gone)
    some = corrections.relabel(rows, {2: 1}).where([2, 5])
    wanted = named.add(
        edited(rows.where([2]), some.where([2]), PLAIN, model), summed(model, rows.without([2, 5]), PLAIN), -1
    )
    assert close(newton.edit_gradient(model, rows, some, PLAIN), wanted)


@pytest.mark.parametrize("name", ["mlp", "residual"])
def test_an_edit_that_changes_nothing_is_exactly_zero(name):
    # Public code takes the retained set for corrected rows, averages, and trains in between.
    model, rows, recipe = nets.net(name)
    found = newton.edit_gradient(model, rows, rows.take(torch.arange(6, -1, -1)), recipe)
    assert all(not g.any() for g in found.values())


def test_the_penalty_shrinks_with_the_number_of_rows_and_is_no_norm():
    model, rows, _ = nets.net("mlp")
    recipe = Recipe(weight_decay=0.1)
    wanted = named.add(named.scale(summed(model, rows, recipe), -1.0), named.weights(model), -7 * 0.1)
    assert close(newton.edit_gradient(model, rows, None, recipe), wanted)
    full = named.add(summed(model, rows, recipe), named.weights(model), 7 * 0.1)
    assert close(newton.full_gradient(model, rows, recipe), full)
    assert newton.penalty(recipe, 7) == pytest.approx(0.7)


def test_masks_cut_gradients():
    model, rows, recipe = nets.net("mlp")
    mask = nets.some(model)
    other = corrections.relabel(rows, {2: 1})
    for whole, cut in (
        (newton.edit_gradient(model, rows, other, recipe), newton.edit_gradient(model, rows, other, recipe, mask)),
        (newton.edit_gradient(model, rows, None, recipe), newton.edit_gradient(model, rows, None, recipe, mask)),
        (newton.full_gradient(model, rows, recipe), newton.full_gradient(model, rows, recipe, mask)),
    ):
        assert close(cut, named.keep(whole, mask))


def dense_solution(model, rows, recipe, gradient, damping, mask, curvature):
    matrix = (oracle.dense_ggn if curvature == "ggn" else oracle.dense_hessian)(model, rows, recipe)
    inside = named.flat(named.full(gradient, True) if mask is None else mask)
    alpha = len(rows) * (recipe.weight_decay + damping)
    block = matrix[inside][:, inside] + alpha * torch.eye(int(inside.sum()), dtype=matrix.dtype)
    x = torch.zeros(len(inside), dtype=torch.float64)
    x[inside] = torch.linalg.solve(block, named.flat(gradient)[inside])
    return named.unflat(x, gradient)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize(
    ("curvature", "damping", "solver"),
    [
        ("ggn", 0.01, "cg"),
        ("ggn", 0.01, "cholesky"),
        ("ggn", 0.01, "woodbury"),
        ("hessian", 2.0, "cg"),
        ("hessian", 2.0, "cholesky"),
    ],
)
def test_newton_systems_are_solved(curvature, damping, solver, masked):
    model, rows, recipe = nets.net("gelu")
    mask = nets.some(model) if masked else None
    gradient = newton.edit_gradient(model, rows, None, recipe, mask)
    system = newton.NewtonSystem(model, rows, recipe, mask, curvature, rtol=1e-11, max_iter=500)
    found = system.solved(gradient, damping, solver)
    assert found.converged
    assert close(found.x, dense_solution(model, rows, recipe, gradient, damping, mask, curvature), 1e-8)


@pytest.mark.parametrize(
    ("curvature", "solver"), [("ggn", "cg"), ("ggn", "woodbury"), ("hessian", "cg"), ("hessian", "cholesky")]
)
def test_the_grid_is_each_damping_by_itself(curvature, solver):
    model, rows, recipe = nets.net("mlp")
    gradient = newton.edit_gradient(model, rows, None, recipe)
    system = newton.NewtonSystem(model, rows, recipe, None, curvature, rtol=1e-10, max_iter=500)
    found = dict(system.grid(gradient, solver))
    assert 10.0 in found and (curvature == "hessian" or set(found) == set(newton.DAMPINGS))
    for mu, solution in found.items():
        assert close(solution.x, dense_solution(model, rows, recipe, gradient, mu, None, curvature), 1e-6)


def test_products_are_counted_for_the_whole_grid():
    model, rows, recipe = nets.net("mlp")
    gradient = newton.edit_gradient(model, rows, None, recipe)
    system = newton.NewtonSystem(model, rows, recipe, rtol=1e-6, max_iter=500)
    found = dict(system.grid(gradient))
    assert system.operator.made == found[1e-3].iterations > found[10.0].iterations > 0
    system.checked(gradient, 10.0, found[10.0])
    assert system.operator.made == found[1e-3].iterations + 1


def test_a_solution_of_the_grid_is_measured_and_found_again_if_it_had_drifted():
    model, rows, recipe = nets.net("mlp")
    gradient = newton.edit_gradient(model, rows, None, recipe)
    system = newton.NewtonSystem(model, rows, recipe, rtol=1e-6, max_iter=500)
    good = dict(system.grid(gradient))[0.1]
    kept = system.checked(gradient, 0.1, good)
    assert kept.x is good.x and 0 < kept.residual <= 2e-6 and kept.iterations == good.iterations + 1
    bad = replace(good, x=named.scale(good.x, 1.01))
    again = system.checked(gradient, 0.1, bad)
    assert again.converged and close(again.x, good.x, 1e-5)


def test_a_grid_without_a_solution_is_an_error():
    model, rows, recipe = nets.net("mlp")
    gradient = newton.edit_gradient(model, rows, None, recipe)
    with pytest.raises(NotApplicable, match="was not solved"):
        newton.NewtonSystem(model, rows, recipe, rtol=1e-14, max_iter=1).grid(gradient)
    named.write(model, named.scale(named.weights(model), 30.0))
    with pytest.raises(NotApplicable, match=r"indefinite|positive definite"):
        newton.NewtonSystem(model, rows, replace(recipe, weight_decay=0.0), None, "hessian").solved(
            gradient, 0.0, "cholesky"
        )


def test_a_block_is_for_few_weights(monkeypatch):
    model, rows, recipe = nets.net("mlp")
    monkeypatch.setattr(newton, "DIRECT", 10)
    with pytest.raises(NotApplicable, match='at most 10 weights, not 79; use "cg"'):
        newton.NewtonSystem(model, rows, recipe).solved(named.weights(model), 0.1, "cholesky")


def test_a_grid_stores_what_all_dampings_share_once(monkeypatch):
    model, rows, recipe = nets.net("mlp")
    gradient = newton.edit_gradient(model, rows, None, recipe)
    for solver, made in (("cholesky", "dense"), ("woodbury", "root")):
        calls, original = [], getattr(ggn, made)
        monkeypatch.setattr(ggn, made, lambda *a, _calls=calls, _original=original: _calls.append(a) or _original(*a))
        assert len(newton.NewtonSystem(model, rows, recipe).grid(gradient, solver)) == len(newton.DAMPINGS)
        assert len(calls) == 1


def test_the_hessian_has_no_root():
    model, rows, recipe = nets.net("mlp")
    with pytest.raises(NotApplicable, match='needs a root of the matrix, which the Hessian has not; use "cg"'):
        newton.NewtonSystem(model, rows, recipe, None, "hessian").solved(named.weights(model), 0.1, "woodbury")


def test_the_diagonal_control_divides_by_the_diagonal():
    model, rows, recipe = nets.net("mlp")
    gradient = newton.edit_gradient(model, rows, None, recipe)
    found = newton.NewtonSystem(model, rows, recipe).solved(gradient, 0.5, "diagonal")
    diagonal = ggn.diagonal(model, rows, recipe)
    alpha = len(rows) * (recipe.weight_decay + 0.5)
    assert close(found.x, {name: g / (diagonal[name] + alpha) for name, g in gradient.items()})
    assert len(newton.NewtonSystem(model, rows, recipe).grid(gradient, "diagonal")) == len(newton.DAMPINGS)


@pytest.mark.parametrize("deleted", [False, True], ids=["corrected", "deleted"])
def test_one_step_on_a_quadratic_is_the_retrained_solution(deleted):
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(30, 4, generator=g).double(), torch.randn(30, 1, generator=g).double()
    train, recipe = Examples.of(x, y), Recipe(loss="squared_error", weight_decay=0.05)

    def ridge(examples: Examples) -> Tensor:
        a = examples.x.T @ examples.x + len(examples) * 0.05 * torch.eye(4).double()
        return torch.linalg.solve(a, examples.x.T @ examples.y)

    model = nn.Linear(4, 1, bias=False).double()
    named.write(model, {"weight": ridge(train).T})
    forget = train.where(range(6))
    corrected = None if deleted else corrections.zero_features(forget, [2])
    after = train.without(range(6)) if deleted else train.without(range(6)) + corrected
    gradient = newton.edit_gradient(model, forget, corrected, recipe)
    step = newton.NewtonSystem(model, after, recipe, rtol=1e-12).solved(gradient, 0.0).x
    assert torch.allclose(model.weight - step["weight"], ridge(after).T, atol=1e-8)


def test_the_scale_is_that_of_the_sum_whatever_the_batch(monkeypatch):
    # Traps 2 and 3: a dropped last batch, and damping that depends on the batch size.
    model, rows, recipe = nets.net("residual")
    gradient = newton.edit_gradient(model, rows, None, recipe)
    whole = newton.NewtonSystem(model, rows, recipe, rtol=1e-10).solved(gradient, 0.1).x
    for module in (newton, per_example):
        monkeypatch.setattr(module, "batch_of", lambda objective: 3)
    monkeypatch.setattr("lacunar.curvature.ggn.batch_of", lambda objective: 3)
    assert close(newton.edit_gradient(model, rows, None, recipe), gradient)
    assert close(newton.NewtonSystem(model, rows, recipe, rtol=1e-10).solved(gradient, 0.1).x, whole)
    twice = Examples.of(torch.cat([rows.x] * 2), torch.cat([rows.y] * 2))
    doubled = named.scale(gradient, 2.0)
    assert close(newton.NewtonSystem(model, twice, recipe, rtol=1e-10).solved(doubled, 0.1).x, whole)


def test_the_least_loss_is_found_and_the_model_left_alone():
    model, rows, recipe = nets.net("mlp")
    before = named.weights(model)
    downhill = named.scale(newton.full_gradient(model, rows, recipe), -0.02)
    updates = [("up", named.scale(downhill, -1.0)), ("down", downhill), ("off", named.scale(downhill, float("nan")))]
    label, update = newton.least(model, rows, recipe, updates)
    assert label == "down" and close(update, downhill)
    assert named.digest(named.weights(model)) == named.digest(before)
    with pytest.raises(Diverged, match="finite loss"):
        newton.least(model, rows, recipe, updates[2:])


def test_step_lengths_span_the_weights():
    model, _, _ = nets.net("mlp")
    lengths = newton.step_lengths(model, named.weights(model))
    assert lengths[0] == pytest.approx(1e-4) and lengths[1] / lengths[0] == pytest.approx(1.6) and lengths[-1] > 5
    assert newton.step_lengths(model, named.scale(named.weights(model), 0.0)) == [0.0]
