from __future__ import annotations

import pytest

from lacunar.catalog import registry
from tests.cli.conftest import call


def test_all_are_listed():
    assert list(call("methods", {"--json": ""}).json) == registry.names("methods")
    plain = [line for line in call("methods").out.splitlines() if line and not line.endswith(":")]
    assert sorted(line.split()[0] for line in plain) == registry.names("methods")


def test_methods_are_listed_by_family():
    blocks = [block.splitlines() for block in call("methods").out.split("\n\n")]
    found = {head.removesuffix(":"): [line.split()[0] for line in lines] for head, *lines in blocks}
    assert found["controls"] == ["do_nothing", "random_weights", "retrain"]
    assert all(registry.family("methods", name) == family for family, names in found.items() for name in names)


@pytest.mark.parametrize("name", registry.names("methods"))
def test_every_method_has_a_page(name):
    page = call("methods", {"--json": ""}, name).json
    assert page["paper"] and page["about"]
    assert set(page["settings"]) == set(registry.find("methods", name).settings())
    assert call("methods", {}, name).out.startswith(f"{name}\n")


def test_a_page_shows_defaults_and_letters():
    out = call("methods", {}, "l1_sparse").out
    assert "gamma: 0.0001 (float)" in out
    assert "γ_t = γ (1 - t/T)" in out and "\\gamma" not in out


def test_an_unknown_name_is_answered_with_the_nearest():
    said = call("methods", {}, "fine_tun")
    assert said.code == 2 and said.err.startswith("error: unknown method 'fine_tun': did you mean 'fine_tune'?")
