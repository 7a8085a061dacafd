import dataclasses
from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest

from lacunar.catalog import registry
from lacunar.core.errors import BadInput
from lacunar.methods.fine_tuning.fine_tune import FineTune
from lacunar.unlearning.method import Method


@dataclasses.dataclass(frozen=True)
class TwiceOver(Method):
    """A third party's method that holds another one."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset()
    method: Method = dataclasses.field(default_factory=FineTune)
    classes: tuple[int, ...] = ()

    def unlearn(self, model, problem):
        return model


@pytest.fixture
def third_party(monkeypatch):
    entry = EntryPoint("twice_over", f"{__name__}:TwiceOver", "lacunar.methods")
    wrong = EntryPoint("wrong", f"{__name__}:EntryPoint", "lacunar.methods")
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry, wrong] if group == "lacunar.methods" else [])


def test_files_are_the_registry():
    assert {"fine_tune", "retrain", "do_nothing"} <= set(registry.names("methods"))
    assert not any(name.startswith("_") for name in registry.names("methods"))


def test_find_gives_settings_their_types():
    assert registry.find("methods", "fine_tune", epochs="3", lr="0.5") == FineTune(epochs=3, lr=0.5)


@pytest.mark.parametrize(
    ("line", "epochs", "lr"),
    [("fine_tune", 10, 0.01), ("fine_tune:epochs=3,lr=0.02", 3, 0.02), (" fine_tune: lr=1 ", 10, 1)],
)
def test_parse(line, epochs, lr):
    assert registry.parse("methods", line) == FineTune(epochs=epochs, lr=lr)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("fine_tun", "unknown method 'fine_tun': did you mean 'fine_tune'"),
        ("fine_tune:epoch=3", "unknown setting of fine_tune 'epoch': did you mean 'epochs'"),
        ("fine_tune:alpha=0.2", "unknown setting of fine_tune 'alpha': .*choose from batch_size, epochs"),
        ("fine_tune:epochs=many", "setting epochs of fine_tune cannot be 'many': .*valid integer"),
        ("fine_tune:epochs", "a setting is written name=value, got 'epochs'"),
        ("fine_tune:epochs=1,epochs=2", "'epochs' is given twice"),
    ],
)
def test_bad_lines_get_a_sentence(line, sentence):
    with pytest.raises(BadInput, match=sentence):
        registry.parse("methods", line)


def test_the_same_letter_never_sets_two_methods():
    # In public code one --alpha, with one default, scales noise, steps and penalties.
    alphas = {
        name: registry.plugin_class("methods", name)().settings().get("alpha") for name in registry.names("methods")
    }
    assert alphas["fisher_forgetting"] == 3e-8 and alphas["influence"] == 1.0 and alphas["l1_sparse"] is None
    with pytest.raises(BadInput, match=r"unknown setting of l1_sparse 'alpha'.*gamma"):
        registry.parse("methods", "l1_sparse:alpha=0.2")


def test_lists_of_numbers_come_back_whole():
    # Public code splits a list given on the command line into its characters.
    made = registry.parse("scenarios", "ids:ids=[4500,12,7]")
    assert made.ids == (4500, 12, 7)
    assert registry.parse("scenarios", made.line()) == made == registry.from_spec("scenarios", made.spec())


def test_unknown_kind():
    with pytest.raises(BadInput, match="unknown kind of plug-in 'metod': did you mean 'methods'"):
        registry.names("metod")


def test_third_parties_join_by_entry_point(third_party):
    assert "twice_over" in registry.names("methods")
    made = registry.parse("methods", "twice_over:method=fine_tune(epochs=2,lr=0.1),classes=[1,2]")
    assert made == TwiceOver(FineTune(epochs=2, lr=0.1), (1, 2))
    assert made.spec()["settings"]["method"]["name"] == "fine_tune"
    assert registry.from_spec("methods", made.spec()) == made
    with pytest.raises(BadInput, match="is not a plug-in class"):
        registry.find("methods", "wrong")


def test_settings_must_be_plain():
    with pytest.raises(TypeError, match="plain data or a plug-in"):
        TwiceOver(classes=object()).settings()


def test_a_plug_in_setting_may_be_absent_where_its_type_says_so():
    assert registry.find("evaluators", "linear_probe", downstream=None).downstream is None
    made = registry.find("evaluators", "linear_probe", downstream="digits(n_train=10)")
    assert registry.from_spec("evaluators", made.spec()) == made
    with pytest.raises(BadInput, match="setting downstream of linear_probe cannot be 3"):
        registry.find("evaluators", "linear_probe", downstream=3)
