from __future__ import annotations

import json

import pytest
import torch

from lacunar.catalog import registry
from lacunar.machine import doctor


@pytest.fixture
def nothing_here(monkeypatch, tmp_path):
    """No data, and an allocator that this process keeps as it is."""
    monkeypatch.setattr(doctor, "keep_memory", lambda: {"kept": True})
    monkeypatch.setenv("LACUNAR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_everything_is_json_and_tells_what_to_report(nothing_here, tmp_path):
    found = json.loads(json.dumps(doctor.examine(tmp_path)))
    assert found["versions"]["torch"] == torch.__version__
    assert "command" not in found, "what was typed is of no interest, and may hold a path"
    assert found["allocator"] == {"kept": True}
    assert set(found["cpu_features"]) == set(doctor.FEATURES)
    assert all(value in (True, False, None) for value in found["cpu_features"].values())


def test_every_data_set_is_counted_or_says_where_it_was_looked_for(nothing_here, tmp_path):
    data = doctor.examine(tmp_path)["data"]
    assert data.keys() == {"LACUNAR_DATA", *registry.names("datasets")}
    assert data["digits"] == "1438 training and 359 test examples"
    assert data["LACUNAR_DATA"] == str(tmp_path / "data")
    assert f"looked for diabetes.csv in {tmp_path / 'data'}" in data["pima"]


def test_a_variable_that_is_not_set_is_said_so(nothing_here, tmp_path, monkeypatch):
    monkeypatch.delenv("LACUNAR_DATA")
    assert doctor.examine(tmp_path)["data"]["LACUNAR_DATA"] == "not set"


def test_gpus_are_named(nothing_here, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i=0: f"card {i}")
    assert doctor.examine(tmp_path)["gpus"] == ["card 0", "card 1"]


def test_a_folder_that_cannot_be_written_is_told_and_none_is_left_behind(nothing_here, tmp_path):
    folder = tmp_path / "absent"
    assert doctor.examine(folder)["writable"] == {str(folder): False}
    assert doctor.examine(tmp_path)["writable"] == {str(tmp_path): True}
    assert not any(p.name != "cache" for p in tmp_path.iterdir())
