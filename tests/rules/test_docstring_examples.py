"""The examples in docstrings run, and give what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import lacunar

ROOT = Path(lacunar.__file__).parent
WITH_EXAMPLES = sorted(path for path in ROOT.rglob("*.py") if "\n    >>> " in path.read_text(encoding="utf-8"))
NAMES = [".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in WITH_EXAMPLES]


@pytest.mark.parametrize("name", NAMES)
def test_they_run(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted and not found.failed


def test_there_are_some():
    assert "lacunar.curvature.objective" in NAMES and "lacunar.curvature.ggn" in NAMES
