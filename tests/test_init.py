"""The public names: lazy, typed, and the same whatever was imported first."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lacunar

SOURCE = Path(lacunar.__file__).parent


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_is_inert():
    assert fresh("import sys, lacunar; print([m for m in ('torch', 'numpy', 'rich') if m in sys.modules])") == "[]"


def test_the_command_line_starts_without_torch():
    assert fresh("import sys, lacunar.cli; print([m for m in ('torch', 'numpy') if m in sys.modules])") == "[]"


@pytest.mark.parametrize("name", lacunar.__all__)
def test_every_name_is_there(name):
    assert getattr(lacunar, name) is not None
    assert name in dir(lacunar)


def test_checkers_see_the_same_names_from_the_same_places():
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {a.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert typed == {name: f"lacunar.{home}" for name, home in lacunar._HOMES.items()}
    assert set(lacunar.__all__) == {*typed, "__version__"}


def test_no_public_name_is_the_name_of_a_module():
    modules = {path.stem for path in SOURCE.iterdir()}
    assert not modules & set(lacunar.__all__)


def test_audit_is_the_function_whatever_was_imported_first():
    code = "import lacunar.auditing.audit as room, lacunar\nprint(lacunar.audit is room.audit, callable(lacunar.audit))"
    assert fresh(code) == "True True"


def test_unknown_names():
    with pytest.raises(AttributeError, match="module 'lacunar' has no attribute 'nothing'"):
        lacunar.nothing


def test_version():
    assert lacunar.__version__.count(".") >= 2
