"""What is on this machine."""

from __future__ import annotations

from lacunar.jobs.doctor import perform


def test_it_looks_at_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LACUNAR_DATA", str(tmp_path))
    told = perform()
    assert told.facts["writable"] == {str(tmp_path): True} and told.facts["versions"]["torch"]
    assert told.code == 0 and told.lines == ()
