"""No data but what a test writes."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch, tmp_path):
    """Data lie where a test has put them; each test has a folder of its own, so nothing is remembered from another."""
    monkeypatch.delenv("LACUNAR_DATA", raising=False)
    monkeypatch.delenv("LACUNAR_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
