"""Import strings name objects, and each way in which one cannot has its sentence."""

from __future__ import annotations

import sys

import pytest

from lacunar.catalog.import_strings import imported, is_import_string
from lacunar.core.errors import BadInput


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("pkg.mod:build", True),
        ("mod:Class.method", True),
        ("mod", False),
        ("resnet:depth=8", False),
        ("mod:", False),
        ("../mod:build", False),
        ("mod:build()", False),
    ],
)
def test_form(text, is_one):
    assert is_import_string(text) == is_one


def test_objects():
    from collections import OrderedDict

    assert imported("collections:OrderedDict") is OrderedDict
    assert imported("collections:OrderedDict.fromkeys") == OrderedDict.fromkeys


def test_the_current_directory_is_searched_first(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "found_only_here.py").write_text("value = 7\n")
    assert imported("found_only_here:value") == 7
    assert sys.path[0] == str(tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("not an import", "is not an import string; write package.module:attribute"),
        ("not_there_at_all:x", "there is no module 'not_there_at_all'"),
        ("collections.not_there:x", "there is no module 'collections.not_there'"),
        ("collections:OrderedDic", "unknown attribute of collections 'OrderedDic': did you mean 'OrderedDict'"),
        ("collections:OrderedDict.fromkey", "unknown attribute of collections.OrderedDict 'fromkey': did you mean"),
    ],
)
def test_refusals(text, sentence):
    with pytest.raises(BadInput, match=sentence):
        imported(text)


def test_code_that_fails_to_import_is_told_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fails_at_import.py").write_text("1 / 0\n")
    (tmp_path / "needs_more.py").write_text("import not_there_either\n")
    with pytest.raises(BadInput, match="importing fails_at_import failed: ZeroDivisionError"):
        imported("fails_at_import:x")
    with pytest.raises(BadInput, match="importing needs_more failed: it needs the module 'not_there_either'"):
        imported("needs_more:x")
