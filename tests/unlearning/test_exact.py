"""Recipes whose models are fits of an exact unlearner."""

from __future__ import annotations

import pytest
import torch

from lacunar.core import named
from lacunar.core.errors import NotApplicable
from lacunar.exact_unlearners.certified_linear import CertifiedLinear
from lacunar.models.logistic import Logistic
from lacunar.models.mlp import Mlp
from lacunar.training.recipe import Recipe
from lacunar.unlearning.exact import put_into, trained_by


def test_each_model_of_the_recipe_is_a_fit(tiny):
    linear = CertifiedLinear(l2=0.5)
    plain = Recipe(Logistic((4,), 3), normalize=((0.5,) * 4, (2.0,) * 4))
    recipe = trained_by(linear, plain)
    assert recipe.normalize == plain.normalize and recipe.build is plain.build
    made, fitted = recipe.fit(tiny, 3), linear.fit(tiny, plain, 3).as_module()
    assert named.digest(named.weights(made)) == named.digest(named.weights(fitted))
    with torch.no_grad():
        assert torch.equal(recipe.predict(made, tiny), fitted(plain.prepare(tiny.x)))


def test_other_settings_are_another_recipe(tiny):
    plain = Recipe(Logistic((4,), 3))
    one, two, same = (trained_by(CertifiedLinear(l2=l2), plain) for l2 in (0.5, 0.6, 0.5))
    assert one.digest() == same.digest() != two.digest()
    assert one.settings()["train"]["settings"]["unlearner"]["settings"]["l2"] == 0.5


@pytest.mark.parametrize("change", [{"loss": "squared_error"}, {"augment": "flip"}])
def test_what_the_unlearner_refuses_of_a_recipe_is_refused(tiny, change):
    with pytest.raises(NotApplicable, match="certified_linear minimises cross_entropy"):
        trained_by(CertifiedLinear(), Recipe(Logistic((4,), 3), **change)).fit(tiny, 0)


def test_another_architecture_is_refused(tiny):
    with pytest.raises(NotApplicable, match="certified_linear fits a model with weights of the shapes"):
        trained_by(CertifiedLinear(), Recipe(Mlp((4,), 3))).fit(tiny, 0)
    fitted = CertifiedLinear().fit(tiny, Recipe(), 0).as_module()
    with_buffer = Logistic((4,), 3)()
    with_buffer.register_buffer("running", torch.zeros(1))
    with pytest.raises(NotApplicable):
        put_into(with_buffer, fitted, CertifiedLinear())
