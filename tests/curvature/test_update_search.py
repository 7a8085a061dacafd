"""The best of several updates, and the grid of step lengths."""

from __future__ import annotations

import pytest

from lacunar.core import named
from lacunar.core.errors import Diverged
from lacunar.curvature.edit_gradient import full_gradient
from lacunar.curvature.objective import Objective
from lacunar.curvature.update_search import least, step_lengths
from tests.curvature import nets
from tests.curvature.test_edit_gradient import close


def test_the_least_loss_is_found_and_the_model_left_alone():
    model, rows, recipe = nets.net("mlp")
    objective = Objective.of(model, rows, recipe)
    before = named.weights(model)
    downhill = named.scale(full_gradient(objective), -0.02)
    updates = [("up", named.scale(downhill, -1.0)), ("down", downhill), ("off", named.scale(downhill, float("nan")))]
    label, update = least(objective, updates)
    assert label == "down" and close(update, downhill)
    assert named.digest(named.weights(model)) == named.digest(before)
    with pytest.raises(Diverged, match="finite loss"):
        least(objective, updates[2:])


def test_step_lengths_span_the_weights():
    model, rows, recipe = nets.net("mlp")
    objective = Objective.of(model, rows, recipe)
    lengths = step_lengths(objective, named.weights(model))
    assert lengths[0] == pytest.approx(1e-4) and lengths[1] / lengths[0] == pytest.approx(1.6) and lengths[-1] > 5
    assert step_lengths(objective, named.scale(named.weights(model), 0.0)) == [0.0]


def test_weights_that_are_not_free_stay_in_the_search():
    model, rows, recipe = nets.net("mlp")
    mask = nets.some(model)
    objective = Objective.of(model, rows, recipe, mask)
    downhill = named.scale(full_gradient(Objective.of(model, rows, recipe)), -0.02)
    outside = {name: t.masked_fill(~mask[name], float("nan")) for name, t in downhill.items()}
    label, _ = least(objective, [("outside", outside), ("all", downhill)])
    assert label == "outside", "NaN outside the free weights is not looked at"
