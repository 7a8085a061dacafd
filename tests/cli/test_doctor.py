from __future__ import annotations

from tests.cli.conftest import call


def test_doctor(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LACUNAR_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("LACUNAR_MALLOC", "0")
    found = call("doctor", {"--json": ""}).json
    assert found["versions"]["torch"] and found["hardware"]["threads"] >= 1
    assert found["writable"] == {str(tmp_path): True}
    assert found["allocator"] == {"malloc": "as found", "why": "LACUNAR_MALLOC=0"}
    assert "training and" in found["data"]["digits"] and "not on this machine" in found["data"]["cifar10"]
    assert "torch: " in call("doctor").out
