from __future__ import annotations

import pytest

from lacunar.catalog import registry
from tests.cli.conftest import call


def test_all_are_listed():
    assert list(call("datasets", {"--json": ""}).json) == registry.names("datasets")
    plain = [line for line in call("datasets").out.splitlines() if line and not line.endswith(":")]
    assert sorted(line.split()[0] for line in plain) == registry.names("datasets")


@pytest.mark.parametrize("name", registry.names("datasets"))
def test_every_data_set_has_a_page_with_its_settings(name):
    page = call("datasets", {"--json": ""}, name).json
    assert page["about"] and set(page["settings"]) == set(registry.find("datasets", name).settings())
    assert call("datasets", {}, name).out.startswith(f"{name}\n")


def test_an_unknown_name_is_answered_with_the_nearest():
    said = call("datasets", {}, "digit")
    assert said.code == 2 and said.err.startswith("error: unknown dataset 'digit': did you mean 'digits'?")
