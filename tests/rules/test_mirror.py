"""A test file lies where its source file lies, and tests know the public names alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SOURCE = TESTS.parent / "src" / "lacunar"

ELSEWHERE = ("rules", "contracts", "benchmarks", "docs")
"""Folders of tests that are of no one file."""

END_TO_END = {
    "cli/test_bad_input.py",
    "unlearning/test_sketches.py",
    "cli/test_bring_your_own.py",
    "cli/test_exact.py",
    "cli/test_interruption.py",
    "cli/test_next.py",
    "cli/test_parts.py",
    "jobs/test_crashes.py",
    "lab/test_benchmarks.py",
}
"""Tests of many files at once, as a user meets them."""

PRIVATE = {
    str(path.relative_to(SOURCE).with_name(f"test{path.name}")): ".".join(
        ("lacunar", *path.relative_to(SOURCE).with_suffix("").parts)
    )
    for path in SOURCE.rglob("_[a-z]*.py")
}
"""Test files that a file whose name begins with an underscore may have, which may import it."""

PATCHING = ("setattr", "delattr", "patch", "object", "delitem", "setitem")
TEST_FILES = sorted(TESTS.rglob("test_*.py"))
PUBLIC = {str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*.py") if not p.name.startswith("_")}


def below(path: Path) -> str:
    """The path of a test file below ``tests``."""
    return str(path.relative_to(TESTS))


def mirrored(source: str) -> str:
    """Where the test file of a source file lies, below ``tests``."""
    path = Path(source)
    return str(path.with_name(f"test_{path.name}"))


def is_private(dotted: str) -> bool:
    """Whether a part of a dotted name begins with one underscore."""
    return any(part.startswith("_") and not part.startswith("__") for part in dotted.split("."))


def private_names(tree: ast.AST) -> Iterator[str]:
    """The private names of the package that a test imports, and those of anything that it patches."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lacunar":
            yield from (name for a in node.names if is_private(name := f"{node.module}.{a.name}"))
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("lacunar.") and is_private(a.name))
        elif isinstance(node, ast.Call):
            yield from patched(node)


def patched(call: ast.Call) -> Iterator[str]:
    """The private names among the words that a call of a patching function is given."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if called in PATCHING:
        words = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        yield from (word for word in words if is_private(word))


def test_every_public_file_has_a_test_file():
    assert sorted(s for s in PUBLIC if not (TESTS / mirrored(s)).is_file()) == []


def test_every_test_file_is_of_a_source_file():
    packages = {str(p.relative_to(SOURCE).with_name("test_init.py")) for p in SOURCE.rglob("__init__.py")}
    mirrors = {mirrored(s) for s in PUBLIC} | packages | PRIVATE.keys() | END_TO_END
    found = {below(p) for p in TEST_FILES if p.relative_to(TESTS).parts[0] not in ELSEWHERE}
    assert sorted(found - mirrors) == []
    assert sorted(END_TO_END - found) == []


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=below)
def test_no_private_name_is_imported_or_patched(path):
    own = PRIVATE.get(below(path), "no such file")
    found = private_names(ast.parse(path.read_text(encoding="utf-8")))
    assert [name for name in found if is_private(name.replace(own, ""))] == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from lacunar.core.files import _umask", ["lacunar.core.files._umask"]),
        ("from lacunar.datasets import _files", ["lacunar.datasets._files"]),
        ("from lacunar.datasets._files import roots", ["lacunar.datasets._files.roots"]),
        ("import lacunar.datasets._files", ["lacunar.datasets._files"]),
        ("monkeypatch.setattr(cli, '_run', None)", ["_run"]),
        ("monkeypatch.setattr('lacunar.cli._verb.run', None)", ["lacunar.cli._verb.run"]),
        ("mock.patch.object(cli, '_run')", ["_run"]),
        ("patch('lacunar.cli._run')", ["lacunar.cli._run"]),
        ("from lacunar import __version__", []),
        ("from torch._C import _x; monkeypatch.setattr(np, 'load', None); print('_x')", []),
    ],
)
def test_a_private_name_would_be_seen(line, found):
    assert list(private_names(ast.parse(line))) == found
