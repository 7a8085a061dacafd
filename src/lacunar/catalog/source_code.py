"""The code that decides a result, as a hash: so that what is kept under it is made again when the code changes."""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from lacunar.catalog.plugin import Plugin


@cache
def closure(module: str, within: tuple[str, ...]) -> tuple[str, ...]:
    """``module`` and all that it imports, directly or not, below one of the packages ``within``: names, sorted."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or not _below(name, within):
            continue
        path = _file(name)
        if path is None:
            continue
        found.add(name)
        # Importing a module runs the packages that it lies in.
        waiting += [name.rpartition(".")[0], *_imported(name, path)]
    return tuple(sorted(found))


def digest_of(modules: Iterable[str]) -> str:
    """The SHA-256 of the programs of these modules; comments, docstrings and layout do not count."""
    paths = [path for name in modules if (path := _file(name)) is not None]
    return hashlib.sha256("".join(_program(path) for path in paths).encode()).hexdigest()


@cache
def class_digest(cls: type, rooms: tuple[str, ...] = ()) -> str:
    """The SHA-256 of the program of the file that defines ``cls``, and of what that imports of its own package.

    Of a plug-in in this package only what it imports of its own shelf counts, and of the packages ``rooms``: others are
    accounted for by whoever uses them.
    """
    own, package = cls.__module__, cls.__module__.partition(".")[0]
    shelf = ".".join(own.split(".")[:2]) if package == "lacunar" else package
    found = closure(own, (shelf, *rooms))
    return digest_of(found) if found else hashlib.sha256(inspect.getsource(cls).encode()).hexdigest()


def plugin_digest(plugin: Plugin, rooms: tuple[str, ...] = ()) -> str:
    """The SHA-256 of the programs of a plug-in and of all plug-ins that it holds as settings, each as above."""
    digests = [class_digest(type(one), rooms) for one in _held(plugin)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _held(value: Any) -> Iterator[Plugin]:
    if isinstance(value, Plugin):
        yield value
        value = vars(value)
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        for one in value:
            yield from _held(one)


def _below(name: str, within: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in within)


def _file(name: str) -> Path | None:
    try:
        spec = find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None


def _imported(name: str, path: Path) -> list[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    names: list[str] = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # Without a package around it a relative import cannot be run, so nothing is imported by it.
            origin = "." * node.level + (node.module or "")
            base = resolve_name(origin, package) if package or not node.level else ""
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)] if base else []
    return names


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _program(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return ast.dump(tree)
