"""Catalog lines, import strings and settings as values."""

from __future__ import annotations

import pytest

from lacunar.core.errors import BadInput
from lacunar.exact_unlearners.certified_linear import CertifiedLinear
from lacunar.jobs import values
from lacunar.methods.fine_tuning.fine_tune import FineTune
from lacunar.models.mlp import Mlp
from lacunar.unlearning.exact import ExactTraining


def test_a_name_of_the_catalog_is_no_code():
    assert values.is_code("models", "mycode:build") and not values.is_code("models", "mlp:hidden=3")
    assert not values.is_code("methods", "fine_tune")


def test_an_architecture_takes_the_shape_of_the_data_unless_the_line_says_another(tiny):
    assert values.architecture("mlp:hidden=3", tiny) == Mlp((4,), 3, hidden=3)
    assert values.architecture("mlp:hidden=3,classes=7", tiny) == Mlp((4,), 7, hidden=3)


def test_own_architectures_are_identified_by_their_own_code(folder, tiny):
    import usercode

    build = values.architecture("usercode:build", tiny)
    assert build.__wrapped__ is usercode.build and len(build()) == 3
    with pytest.raises(BadInput, match="is an object of type int; a model is given as a function or class"):
        values.architecture("usercode:constant", tiny)
    with pytest.raises(BadInput, match=r"usercode:three returned an object of type int, not a torch\.nn\.Module"):
        values.architecture("usercode:three", tiny)()


def test_recipes(folder):
    normalize, build = ((0.5,), (2.0,)), Mlp((4,), 3)
    made = values.recipe({"epochs": 3}, build, normalize)
    assert (made.epochs, made.normalize, made.build) == (3, normalize, build)
    assert values.recipe({"normalize": None}, build, normalize).normalize is None
    own = values.recipe("usercode:recipe", build, normalize)
    assert (own.epochs, own.normalize, own.build) == (2, None, build)
    fitted = values.recipe({"train": "certified_linear(l2=0.5)"}, build, normalize)
    assert fitted.train == ExactTraining(CertifiedLinear(l2=0.5), normalize)
    with pytest.raises(BadInput, match=r"usercode:three is an object of type int, not a lacunar\.Recipe"):
        values.recipe("usercode:three", build, normalize)
    with pytest.raises(BadInput, match="unknown exact_unlearner 'certified'"):
        values.recipe({"train": "certified"}, build, normalize)


def test_methods_and_scenarios(folder):
    assert values.method("fine_tune:epochs=3", {"lr": 0.5}) == FineTune(epochs=3, lr=0.5)
    assert values.scenario("whole_class:label=1").settings() == {"label": 1}
    with pytest.raises(BadInput, match="the setting 'epochs' of fine_tune is given twice"):
        values.method("fine_tune:epochs=3", {"epochs": 4})
    with pytest.raises(BadInput, match=r"usercode:Points is the class Points, not a subclass of lacunar\.Method"):
        values.method("usercode:Points", {})


def test_settings_or_code():
    assert values.settings_or_code(["mycode:recipe"]) == "mycode:recipe"
    assert values.settings_or_code(["epochs=3", "lr=0.5"]) == {"epochs": 3, "lr": 0.5}


def test_called():
    assert values.called("f", lambda: 3) == 3
    with pytest.raises(BadInput, match=r"calling f\(\) failed: ZeroDivisionError: division by zero"):
        values.called("f", lambda: 1 / 0)
    with pytest.raises(BadInput, match="f is an object of type int, which is neither what is needed nor a function"):
        values.called("f", 3)
