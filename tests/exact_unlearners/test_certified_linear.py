"""Certified linear models against dense oracles: exact fits, edits, removed columns, budgets, noise."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from lacunar.catalog import registry
from lacunar.core.chain import verify
from lacunar.core.errors import BadInput, Diverged, NotApplicable
from lacunar.data import corrections
from lacunar.data.examples import Examples
from lacunar.exact_unlearners import certified_linear
from lacunar.exact_unlearners.certified_linear import CertifiedLinear
from lacunar.training.recipe import Recipe
from lacunar.unlearning.certificate import noise_for
from tests.oracles.convex import minimiser


def table(n: int = 120, d: int = 6, classes: int = 2, seed: int = 0, density: float = 1.0) -> Examples:
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, classes, (n,), generator=g)
    x = torch.randn(n, d, generator=g) + torch.randn(classes, d, generator=g)[y]
    x = x * (torch.rand(n, d, generator=g) < density)
    return Examples.of(x, y, ids=torch.arange(n) * 3 + 1)


def nan_row() -> Examples:
    """A row that bypassed the checks of ``Examples.of``."""
    return Examples(torch.full((1, 6), float("nan")), torch.tensor([1]), torch.tensor([1]))


def true_weights(model: CertifiedLinear) -> torch.Tensor:
    return torch.from_numpy(model._state.theta)


def retrained(model: CertifiedLinear, examples: Examples, b: torch.Tensor | None = None) -> torch.Tensor:
    x = torch.cat([examples.x.double(), torch.ones(len(examples), 1, dtype=torch.float64)], 1)
    return minimiser(x, examples.y, model.l2, true_weights(model).shape[1], b)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("density", [1.0, 0.1], ids=["dense", "sparse"])
def test_fit_and_edits_are_those_of_a_retraining(classes, density):
    train = table(classes=classes, density=density)
    model = CertifiedLinear(l2=0.5).fit(train, Recipe(), seed=0)
    assert torch.allclose(true_weights(model), retrained(model, train), atol=1e-8)
    edited = corrections.remove(corrections.relabel(train, {4: 1 - int(train.y[1] > 0)}), train.ids[50:60].tolist())
    rows = edited.where(corrections.differing(train, edited))
    after = model.edit(delete=train.ids[50:60], corrected=rows)
    assert after.residual <= 1e-9 * len(train)
    gap = (true_weights(after) - retrained(model, edited)).norm()
    assert gap <= after.residual / 0.5 + 1e-9
    assert not torch.allclose(true_weights(after), true_weights(model), atol=1e-4)
    assert after._state.ids.tolist() == [*(i for i in edited.ids.tolist() if i not in rows.ids), *rows.ids.tolist()]


def test_weights_are_never_further_from_retrained_ones_than_the_residual_says():
    for seed in range(50):
        train = table(40, 4, seed=seed)
        model = CertifiedLinear(l2=0.3, tolerance=1e-2).fit(train, Recipe(), seed=seed)
        left = train.without(train.ids[:5])
        after = model.delete(train.ids[:5])
        gap = float((true_weights(after) - retrained(model, left)).norm())
        assert gap <= after.residual / 0.3 + 1e-9
        assert after.record[-1].residual <= after.record[-1].tolerance == pytest.approx(0.4)


@pytest.mark.parametrize("mechanism", ["output", "objective"])
def test_removed_columns_are_known_exactly(mechanism):
    train = table()
    model = CertifiedLinear(l2=2.0, mechanism=mechanism, tolerance=1e-3).fit(train, Recipe(), seed=1)
    after = model.edit(columns=[2, 5])
    state = after._state
    assert np.abs(state.theta[[2, 5]] + state.objective.b[[2, 5]] / 2.0).max() < 1e-10
    zeroed = corrections.zero_features(train, [2, 5])
    wanted = retrained(model, zeroed, torch.from_numpy(state.objective.b))
    assert (true_weights(after) - wanted).norm() <= after.residual / 2.0 + 1e-9
    loud = train.x.clone()
    loud[:, [2, 5]] = 1e6
    assert torch.equal(after.predict(loud), after.predict(zeroed.x)), "a removed column is not looked at"
    again = after.edit(corrected=Examples.of(loud[:3], 1 - train.y[:3], ids=train.ids[:3]))
    assert not again._state.objective.x[:, [2, 5]].any(), "nor does it come back with a correction"
    if mechanism == "output":
        assert not after.release()[[2, 5]].any()


def test_removing_every_column_leaves_the_known_weights():
    after = CertifiedLinear(bias=False).fit(table(d=2), Recipe(), seed=0).edit(columns=[0, 1])
    assert not after.release().any() and after.residual == 0


def test_output_noise_has_the_promised_size_and_is_fresh_for_each_request():
    train = table(100, 2)
    model = CertifiedLinear(epsilon=0.5, delta=1e-3, tolerance=1e-3, releases=3, l2=2.0).fit(train, Recipe(), seed=0)
    sigma = model.record[0].sigma
    assert sigma == pytest.approx(noise_for(0.5, 1e-3, 0.1 / 2.0, 4))
    noise = []
    for i in range(60):
        after = model.delete([int(train.ids[i])])
        noise.append((after.release() - true_weights(after)).numpy().reshape(-1))
        assert torch.equal(after.release(), after.release())
    noise = np.concatenate(noise)
    assert len(np.unique(noise)) == 180, "two edits of one model do not share their noise"
    assert noise.std() == pytest.approx(sigma, rel=4 / (2 * 180) ** 0.5)
    fewer = CertifiedLinear(epsilon=0.5, delta=1e-3, tolerance=1e-3, releases=3, l2=2.0).fit(
        train.take(torch.arange(99)), Recipe(), seed=0
    )
    one, same = (m.release() - true_weights(m) for m in (model, fewer))
    assert float((one / model.record[0].sigma - same / fewer.record[0].sigma).abs().min()) > 1e-6
    other = CertifiedLinear(epsilon=0.5, delta=1e-3, tolerance=1e-3, releases=3, l2=2.0).fit(train, Recipe(), seed=1)
    assert not torch.allclose(other.release(), model.release()) and torch.allclose(
        true_weights(other), true_weights(model)
    )


def test_objective_noise_is_drawn_once_and_released_weights_are_the_weights():
    train = table(100, 3)
    settings = {"mechanism": "objective", "tolerance": 1e-4, "epsilon": 0.5, "delta": 1e-2}
    model = CertifiedLinear(**settings).fit(train, Recipe(), seed=0)
    after = model.delete(train.ids[:4])
    assert model.record[0].sigma == pytest.approx((2 * np.log(150)) ** 0.5 * 1e-2 / 0.5)
    assert np.array_equal(after._state.objective.b, model._state.objective.b) and model._state.objective.b.any()
    assert torch.equal(after.release(), true_weights(after))
    assert after.record[-1].mu == 0 and "by itself" in after.limits[0]
    assert "together" in CertifiedLinear().fit(train, Recipe(), 0).limits[0]


def test_every_request_is_checked_not_their_mean(monkeypatch):
    train = table()
    model = CertifiedLinear().fit(train, Recipe(), seed=0)
    planted = iter([0.5, 1.5])
    original = certified_linear.newton
    monkeypatch.setattr(
        certified_linear, "newton", lambda o, t, goal, most: (original(o, t, goal, most)[0], next(planted) * goal)
    )
    accepted = model.delete([1])
    assert accepted.record[-1].residual == pytest.approx(0.5 * accepted.record[-1].tolerance)
    with pytest.raises(NotApplicable, match="above the tolerance"):
        accepted.delete([4])


def test_an_exhausted_budget_refuses_or_retrains_and_says_so():
    train = table()
    ids = train.ids.tolist()
    model = CertifiedLinear(releases=3).fit(train, Recipe(), seed=0)
    for i in range(3):
        model = model.delete([ids[i]])
        assert model.record[-1].what == "edit"
    with pytest.raises(NotApplicable, match="the budget is spent"):
        model.delete([ids[3]])
    assert model._state.ids.tolist() == ids[3:], "a refused request changes nothing"
    willing = (
        CertifiedLinear(releases=1, on_exhausted="retrain")
        .fit(train, Recipe(), seed=0)
        .delete(ids[:1])
        .delete(ids[1:2])
    )
    entry = willing.record[-1]
    assert (
        entry.what == "retrain" and entry.tolerance == pytest.approx(1e-10 * 118) and entry.residual <= entry.tolerance
    )
    assert entry.spent <= willing._state.budget.allowed
    verify(willing.record)
    assert [e.deleted for e in willing.record] == [(), (1,), (4,)]


def test_settings_round_trip_and_fitted_values_are_no_settings():
    model = registry.find("exact_unlearners", "certified_linear", l2=0.1)
    fitted = model.fit(table(), Recipe(), seed=0)
    assert registry.from_spec("exact_unlearners", json.loads(json.dumps(fitted.spec()))) == model
    assert fitted == model and fitted.line() == "certified_linear:l2=0.1"


def test_predictions_are_logits_of_the_released_weights():
    train = table(400, 8, classes=3)
    model = CertifiedLinear(l2=0.1).fit(train, Recipe(), seed=0)
    z = model.predict(train.x)
    assert z.shape == (400, 3) and float((z.argmax(1) == train.y).double().mean()) > 0.6
    two = CertifiedLinear().fit(table(), Recipe(), seed=0).predict(table().x)
    assert two.shape == (120, 2) and not two[:, 0].any()


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda m: m.edit(), "nothing to change"),
        (lambda m: m.delete([2]), "ids 2 are not in the data"),
        (lambda m: m.delete([1, 1]), "named twice"),
        (lambda m: m.edit(delete=[1], corrected=table().where([1])), "named twice"),
        (lambda m: m.edit(columns=[6]), "columns 6 are unknown"),
        (lambda m: m.edit(columns=[1, 1]), "columns 1, 1 are unknown, repeated"),
        (lambda m: m.edit(columns=[1]).edit(columns=[1]), "removed already"),
        (lambda m: m.delete(table().ids), "nothing is left"),
        (lambda m: m.edit(corrected=Examples.of(torch.zeros(1, 6), [2], ids=[1])), "labels run to 2"),
        (lambda m: m.edit(columns=[1.5]), r"columns are positions, a list of whole numbers, got 1\.5"),
        (lambda m: m.edit(columns=np.ones(6, dtype=bool)), "a list of whole numbers, got True"),
        (lambda m: m.edit(columns=[[1, 2]]), "a list of whole numbers, got 1, 2"),
        (lambda m: m.edit(corrected=Examples.of(torch.zeros(1, 5), [1], ids=[1])), "rows of 6 numbers, got rows of 5"),
        (lambda m: m.edit(corrected=nan_row()), "rows 0 hold NaN or infinity"),
        (lambda m: CertifiedLinear().fit(nan_row(), Recipe(), seed=0), "rows 0 hold NaN or infinity"),
        (lambda m: m.predict({"a": torch.zeros(1)}), "not a dict"),
        (lambda m: m.predict(torch.zeros(4, 7)), "rows of 6 numbers, got rows of 7"),
        (lambda m: m.predict(torch.zeros(6)), "rows of 6 numbers, got rows of 1"),
        (lambda m: m.predict(torch.tensor(1.0)), "got a single number"),
        (lambda m: m.predict(nan_row().x), "rows 0 hold NaN or infinity"),
    ],
)
def test_requests_that_cannot_be_served(monkeypatch, ask, sentence):
    model = CertifiedLinear().fit(table(), Recipe(), seed=0)
    if "removed already" not in sentence:
        monkeypatch.setattr(certified_linear, "newton", lambda *given: pytest.fail("computed before it was checked"))
    with pytest.raises(BadInput, match=sentence):
        ask(model)


@pytest.mark.parametrize(
    "columns", [np.array([2, 5]), [np.int64(2), np.int64(5)], torch.tensor([2, 5]), range(2, 6, 3)]
)
def test_columns_in_any_form_of_whole_numbers(tmp_path, columns):
    model = CertifiedLinear().fit(table(), Recipe(), seed=0)
    wanted, found = model.edit(columns=[2, 5]), model.edit(columns=columns)
    assert found.record == wanted.record and torch.equal(found.release(), wanted.release())
    found.save(tmp_path / "model.safetensors")


def test_no_rows_are_no_change_and_have_no_predictions():
    model, none = CertifiedLinear().fit(table(), Recipe(), seed=0), table().take(torch.zeros(0, dtype=torch.int64))
    assert model.edit(corrected=none, columns=[2]).record == model.edit(columns=[2]).record
    assert model.predict(none.x).shape == (0, 2)


def test_what_cannot_be_trained():
    with pytest.raises(BadInput, match="not trained yet"):
        CertifiedLinear().release()
    with pytest.raises(NotApplicable, match="classes 0, 1"):
        CertifiedLinear().fit(Examples.of(torch.zeros(2, 1), [0.5, 1.0]), Recipe(), seed=0)
    with pytest.raises(BadInput, match="l2 must be"):
        CertifiedLinear(l2=0.0)
    with pytest.raises(BadInput, match="epsilon must be"):
        CertifiedLinear(epsilon=0.0)


def test_a_training_that_stops_early_is_no_result(monkeypatch):
    monkeypatch.setattr(certified_linear, "newton", lambda objective, start, goal, most: (start, 2 * goal))
    with pytest.raises(Diverged, match="raise l2"):
        CertifiedLinear().fit(table(), Recipe(), seed=0)


@pytest.fixture(scope="module")
def pixels() -> Examples:
    train = registry.parse("datasets", "digits:n_train=400").load().train
    return Examples.of(train.x.reshape(len(train), -1).float() / 255, train.y, train.ids)


@pytest.mark.parametrize("columns", [(20, 21), (28, 29), (10, 11)])
def test_edits_that_need_a_dozen_newton_steps_are_made(pixels, columns):
    after = CertifiedLinear(l2=0.01).fit(pixels, Recipe(), seed=0).edit(columns=list(columns))
    assert after.residual <= after.record[-1].tolerance == pytest.approx(1e-9 * 400)
    assert after.record[-1].what == "edit"


def test_inputs_are_prepared_by_the_recipe_for_fit_edit_and_prediction():
    images = registry.parse("datasets", "digits:n_train=100,n_test=10").load()
    recipe = Recipe(normalize=((0.3,), (0.4,)))
    ready = Examples.of(recipe.prepare(images.train.x).flatten(1), images.train.y, images.train.ids)
    model, by_hand = (
        CertifiedLinear(l2=0.5).fit(images.train, recipe, 0),
        CertifiedLinear(l2=0.5).fit(ready, Recipe(), 0),
    )
    assert torch.equal(true_weights(model), true_weights(by_hand))
    moved = images.train.take(torch.tensor([4])).labelled(torch.tensor([9]))
    prepared = ready.take(torch.tensor([4])).labelled(torch.tensor([9]))
    edits = [m.edit(delete=[1, 2], corrected=c) for m, c in ((model, moved), (by_hand, prepared))]
    assert torch.equal(*map(true_weights, edits))
    said = edits[0].predict(images.test.x)
    with torch.no_grad():
        assert torch.allclose(edits[0].as_module()(recipe.prepare(images.test.x)).double(), said, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("classes", [2, 3])
def test_as_a_module_it_says_the_same(classes, bias):
    state = torch.get_rng_state()
    train = table(classes=classes)
    model = CertifiedLinear(l2=0.5, tolerance=1e-3, bias=bias).fit(train, Recipe(), 0).edit(columns=[1])
    module = model.as_module()
    assert not module.training and {*dict(module.named_parameters())} == {"linear.weight", *["linear.bias"] * bias}
    with torch.no_grad():
        assert torch.allclose(module(train.x).double(), model.predict(train.x), atol=1e-5)
    assert not bool(module.linear.weight[:, 1].any())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("recipe", [Recipe(loss="squared_error"), Recipe(augment="flip")])
def test_a_recipe_that_says_something_else_is_refused(recipe):
    with pytest.raises(NotApplicable, match="certified_linear minimises cross_entropy on the inputs as they are"):
        CertifiedLinear().fit(table(), recipe, 0)
