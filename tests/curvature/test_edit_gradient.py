"""Gradients of edits against sums over examples one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lacunar.core import masks, named
from lacunar.curvature.edit_gradient import edit_gradient, full_gradient, penalty
from lacunar.curvature.objective import Objective
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
    monkeypatch.setattr("lacunar.curvature.edit_gradient.weighted_sum", lambda *a, **k: calls.append(a))
    found = edit_gradient(Objective.of(model, rows, PLAIN), other)
    assert close(found, wanted) and not calls
    back = edit_gradient(Objective.of(model, other, PLAIN), rows)
    assert close(named.add(found, back), named.scale(wanted, 0.0))


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "squared_error"])
def test_one_pass_serves_every_loss(loss):
    torch.manual_seed(0)
    model = nn.Linear(3, 1).double()
    rows = Examples.of(torch.randn(6, 3, dtype=torch.float64), torch.tensor([0.0, 1, 0, 1, 1, 0]).double())
    recipe = Recipe(loss=loss, weight_decay=0.0)
    other = rows.labelled(1 - rows.y)
    assert close(edit_gradient(Objective.of(model, rows, recipe), other), edited(rows, other, recipe, model))


def test_labels_of_sequences_can_be_edited():
    torch.manual_seed(0)
    model = nets.Tagger().double()
    y = torch.randint(0, 3, (4, 5))
    y[0, 3:] = -100
    rows = Examples.of(torch.randint(0, 9, (4, 5)), y)
    changed = y.clone()
    changed[:, 0] = (changed[:, 0] + 1) % 3
    other = rows.labelled(changed)
    assert close(edit_gradient(Objective.of(model, rows, PLAIN), other), edited(rows, other, PLAIN, model))


def test_features_deletions_and_mixtures():
    model, rows, _ = nets.net("mlp")
    zeroed = corrections.zero_features(rows, [1, 3])
    assert close(edit_gradient(Objective.of(model, rows, PLAIN), zeroed), edited(rows, zeroed, PLAIN, model))
    nothing = rows.take(torch.zeros(0, dtype=torch.int64))
    gone = named.scale(summed(model, rows, PLAIN), -1.0)
    assert close(edit_gradient(Objective.of(model, rows, PLAIN), None), gone)
    assert close(edit_gradient(Objective.of(model, rows, PLAIN), nothing), gone)
    some = corrections.relabel(rows, {2: 1}).where([2, 5])
    wanted = named.add(
        edited(rows.where([2]), some.where([2]), PLAIN, model), summed(model, rows.without([2, 5]), PLAIN), -1
    )
    assert close(edit_gradient(Objective.of(model, rows, PLAIN), some), wanted)


@pytest.mark.parametrize("name", ["mlp", "residual"])
def test_an_edit_that_changes_nothing_is_exactly_zero(name):
    # Public code takes the retained set for corrected rows, averages, and trains in between.
    model, rows, recipe = nets.net(name)
    found = edit_gradient(Objective.of(model, rows, recipe), rows.take(torch.arange(6, -1, -1)))
    assert all(not g.any() for g in found.values())


def test_the_penalty_shrinks_with_the_number_of_rows_and_is_no_norm():
    model, rows, _ = nets.net("mlp")
    recipe = Recipe(weight_decay=0.1)
    wanted = named.add(named.scale(summed(model, rows, recipe), -1.0), named.weights(model), -7 * 0.1)
    assert close(edit_gradient(Objective.of(model, rows, recipe), None), wanted)
    full = named.add(summed(model, rows, recipe), named.weights(model), 7 * 0.1)
    assert close(full_gradient(Objective.of(model, rows, recipe)), full)
    assert penalty(recipe, 7) == pytest.approx(0.7)


def test_masks_cut_gradients():
    model, rows, recipe = nets.net("mlp")
    mask = nets.some(model)
    other = corrections.relabel(rows, {2: 1})
    for whole, cut in (
        (
            edit_gradient(Objective.of(model, rows, recipe), other),
            edit_gradient(Objective.of(model, rows, recipe, mask), other),
        ),
        (
            edit_gradient(Objective.of(model, rows, recipe), None),
            edit_gradient(Objective.of(model, rows, recipe, mask), None),
        ),
        (full_gradient(Objective.of(model, rows, recipe)), full_gradient(Objective.of(model, rows, recipe, mask))),
    ):
        assert close(cut, masks.keep(whole, mask))


@pytest.mark.parametrize("deleted", [False, True], ids=["corrected", "deleted"])
def test_the_size_of_batches_changes_nothing(deleted):
    model, rows, recipe = nets.net("residual")
    other = None if deleted else corrections.relabel(rows, {2: 1})
    whole = edit_gradient(Objective.of(model, rows, recipe), other)
    assert close(edit_gradient(Objective.of(model, rows, recipe, size=3), other), whole)
