"""What the catalog says of a plug-in follows from its class, and can be read."""

from __future__ import annotations

import re

import pytest

from lacunar.catalog import documentation, registry
from lacunar.catalog.plugin import Plugin
from lacunar.core.errors import BadInput

NAMED = [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]


class Told:
    r"""Move by :math:`\alpha v`, see :func:`~lacunar.core.named.dot` and :class:`lacunar.core.rng.Streams`.

    .. math:: \min_\theta L(\theta)
              + \gamma

    Attributes:
        one: the first, on
            two lines.
        two, three: ``both`` of them.

    Departures: none.
    """


def test_formulas_references_and_literals_become_text():
    said = documentation.text(Told)
    assert said.startswith("Move by α v, see dot and lacunar.core.rng.Streams.\n\n    min_θ L(θ) + γ\n\nAttributes:")
    assert "two, three: `both` of them." in said


def test_settings_are_explained_each_by_its_own_entry():
    said = documentation.text(Told)
    assert documentation.explained(said) == {
        **{"one": "the first, on two lines.", "two": "`both` of them.", "three": "`both` of them."}
    }
    assert documentation.without_settings(said).endswith("+ γ\n\nDepartures: none.")
    assert documentation.explained("No list.") == {} and documentation.without_settings("No list.") == "No list."


@pytest.mark.parametrize(("kind", "name"), NAMED, ids=["-".join(pair) for pair in NAMED])
def test_no_page_shows_markup(kind, name):
    page = documentation.page(kind, name)
    assert not re.search(r"\\[A-Za-z|]|:[a-z]+:`|\.\. math|``|[_^]\{", page["about"])
    assert not re.search(r"nabla|leftarrow|theta|frac\d|frac\{", page["about"])
    assert page["about"].partition("\n")[0].endswith((".", "?")), "the first line is not a sentence"


@pytest.mark.parametrize("name", registry.names("methods"))
def test_a_page_holds_family_needs_and_every_setting(name):
    page = documentation.page("methods", name)
    assert page["family"] == registry.family("methods", name) != ""
    assert page["needs"] == sorted(registry.plugin_class("methods", name).needs)
    made = registry.find("methods", name)
    held = {key: getattr(made, key) for key in made.settings()}
    assert {key: told["default"] for key, told in page["settings"].items()} == {
        key: value.line() if isinstance(value, Plugin) else value for key, value in held.items()
    }


def test_what_a_list_does_not_name_is_explained_by_its_entry_for_the_others():
    settings = documentation.page("pruners", "snip")["settings"]
    assert (
        settings["per_class"]["about"].startswith("examples drawn") and settings["scope"]["about"] == "as in `Pruner`."
    )


def test_a_plugin_outside_every_folder_has_no_family():
    assert "family" not in documentation.page("pruners", "snip")
    assert list(documentation.families("pruners")) == [""]


def test_families_hold_every_name_once_and_in_order():
    found = documentation.families("methods")
    assert sorted(name for names in found.values() for name in names) == registry.names("methods")
    assert list(found) == sorted(found) and list(found["controls"]) == ["do_nothing", "random_weights", "retrain"]


def test_an_evaluator_is_found_by_what_it_measures():
    assert documentation.page("evaluators", "ua")["name"] == "accuracy"
    with pytest.raises(BadInput, match=r"metric 'uaa'.*ua"):
        documentation.page("evaluators", "uaa")
