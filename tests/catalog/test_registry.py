import dataclasses
import json
from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest

from lacunar.catalog import documentation, registry
from lacunar.core.errors import BadInput
from lacunar.importance.hutchinson import Hutchinson
from lacunar.importance.magnitude import Magnitude
from lacunar.methods.fine_tuning.fine_tune import FineTune
from lacunar.pruners.snip import Snip
from lacunar.sparsity.pruner import Pruner
from lacunar.sparsity.score import Score
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


@dataclasses.dataclass(frozen=True)
class OneByOne(Method):
    """A third party's method that holds several plug-ins of each kind."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset()
    methods: tuple[Method, ...] = (FineTune(epochs=2), FineTune())
    scores: tuple[Score, ...] | None = None
    pruner: Pruner | tuple[Pruner, ...] = ()

    def unlearn(self, model, problem):
        return model


@pytest.fixture
def third_party(monkeypatch):
    named = {"twice_over": "TwiceOver", "one_by_one": "OneByOne", "wrong": "EntryPoint"}
    entries = [EntryPoint(name, f"{__name__}:{cls}", "lacunar.methods") for name, cls in named.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: entries if group == "lacunar.methods" else [])


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


MAGNITUDE, SNIP = Magnitude(), Snip(per_class=3, scope=("a*", "b"))


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (OneByOne(), "one_by_one"),
        (OneByOne((FineTune(epochs=1),)), "one_by_one:methods=[fine_tune(epochs=1)]"),
        (
            OneByOne((FineTune(epochs=1), TwiceOver(FineTune(lr=0.5), (1, 2)))),
            "one_by_one:methods=[fine_tune(epochs=1),twice_over(method=fine_tune(lr=0.5),classes=[1,2])]",
        ),
        (OneByOne((OneByOne(()),)), "one_by_one:methods=[one_by_one(methods=[])]"),
        (OneByOne(scores=(MAGNITUDE, Hutchinson(probes=2))), "one_by_one:scores=[magnitude(),hutchinson(probes=2)]"),
        (OneByOne(pruner=SNIP), 'one_by_one:pruner=snip(per_class=3,scope=["a*","b"])'),
        (OneByOne(pruner=(SNIP, Snip())), 'one_by_one:pruner=[snip(per_class=3,scope=["a*","b"]), snip()]'),
    ],
)
def test_several_plug_ins_in_one_setting_come_back_from_line_and_spec(third_party, made, line):
    assert made.line() == line.replace(", ", ",")
    assert registry.parse("methods", line) == made
    assert registry.from_spec("methods", json.loads(json.dumps(made.spec()))) == made
    assert hash(made) == hash(registry.parse("methods", line))


@pytest.mark.parametrize(
    "given",
    [
        ["fine_tune:epochs=1", FineTune()],
        (FineTune(epochs=1), {"name": "fine_tune", "settings": {}}),
        "[fine_tune(epochs=1), fine_tune]",
        '["fine_tune(epochs=1)", "fine_tune"]',
    ],
)
def test_several_plug_ins_may_be_given_as_values_lines_and_specs(third_party, given):
    value = registry.parse_settings(f"methods={given}")["methods"] if isinstance(given, str) else given
    assert registry.find("methods", "one_by_one", methods=value).methods == (FineTune(epochs=1), FineTune())


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("methods=[fine_tune,fine_tun]", "^part 2 of methods of one_by_one: unknown method 'fine_tun': did you mean"),
        ("methods=[fine_tune(epoch=3)]", "^part 1 of methods of one_by_one: unknown setting of fine_tune 'epoch'"),
        ("methods=[fine_tune,3]", "^part 2 of methods of one_by_one: unknown method '3'"),
        ("methods=[3]", "^part 1 of methods of one_by_one is one of methods, by its name, got 3$"),
        ('methods=[{"settings":{}}]', '^part 1 of methods of one_by_one: a plug-in is written {"name": ...,'),
        ("methods=fine_tune", r"^methods of one_by_one holds several methods, in brackets: methods=\[fine_tune,...\]$"),
        ("methods=3", "^setting methods of one_by_one cannot be 3: .*tuple"),
        ("scores=[magnitude,fine_tune]", "^part 2 of scores of one_by_one: unknown importance 'fine_tune'"),
        ("pruner=fine_tune", "^pruner of one_by_one: unknown pruner 'fine_tune'"),
    ],
)
def test_the_part_that_is_wrong_is_named(third_party, line, sentence):
    with pytest.raises(BadInput, match=sentence):
        registry.parse("methods", f"one_by_one:{line}")


def test_what_a_plug_in_holds():
    assert FineTune().held() == []
    assert OneByOne((FineTune(), FineTune(lr=1)), (MAGNITUDE,), SNIP).held() == [
        FineTune(),
        FineTune(lr=1),
        MAGNITUDE,
        SNIP,
    ]


def test_a_page_shows_several_plug_ins_by_their_lines(third_party):
    settings = documentation.page("methods", "one_by_one")["settings"]
    assert settings["methods"]["default"] == ("fine_tune:epochs=2", "fine_tune")


def test_a_plug_in_of_another_kind_is_refused(third_party):
    with pytest.raises(BadInput, match=r"^method of twice_over is one of methods, by its name, got magnitude\(\)$"):
        registry.find("methods", "twice_over", method=MAGNITUDE)


def test_settings_must_be_plain():
    with pytest.raises(TypeError, match="plain data or a plug-in"):
        TwiceOver(classes=object()).settings()


def test_a_plug_in_setting_may_be_absent_where_its_type_says_so():
    assert registry.find("evaluators", "linear_probe", downstream=None).downstream is None
    made = registry.find("evaluators", "linear_probe", downstream="digits(n_train=10)")
    assert registry.from_spec("evaluators", made.spec()) == made
    with pytest.raises(BadInput, match="setting downstream of linear_probe cannot be 3"):
        registry.find("evaluators", "linear_probe", downstream=3)
