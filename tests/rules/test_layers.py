"""Who may import whom, as a table and a few lines of ast."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "lacunar"

TABLE = {
    "core": "",
    "catalog": "core",
    "machine": "core catalog",
    "data": "core catalog",
    "training": "core catalog machine data",
    "curvature": "core data training",
    "sparsity": "core catalog machine data training",
    "unlearning": "core catalog machine data training sparsity",
    "memorization": "core data training curvature",
    "language": "core data training",
    "report": "core catalog",
    "auditing": "core catalog machine data training unlearning report",
    "lab": "core catalog machine data training sparsity unlearning auditing report",
    "ledger": "core report",
    "cluster": "core lab",
    "datasets": "core catalog data",
    "models": "core data training",
    "importance": "core data training curvature sparsity",
    "pruners": "core data training curvature sparsity importance",
    "scenarios": "core data unlearning memorization",
    "exact_unlearners": "core catalog data training curvature unlearning",
    "methods": "core data training curvature sparsity unlearning memorization language importance pruners "
    "exact_unlearners",
    "evaluators": "core data training curvature sparsity unlearning memorization language auditing",
    "jobs": "core catalog machine data training curvature sparsity unlearning memorization language report auditing "
    "lab ledger cluster",
    "cli": "core jobs report catalog lab",
}
JUDGES = ("trial", "evaluator", "signals", "controls")
"""What evaluators may know of the room ``auditing``."""

FILES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    """The dotted name of a file."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


def imports(path: Path) -> set[str]:
    """The modules of this package that a file imports, in functions and under TYPE_CHECKING as well."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lacunar":
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= inside
            # A name that is no module of its own is defined in the package itself.
            if len(inside) < len(node.names):
                found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("lacunar.")}
    return found


def room_of(module: str) -> str:
    """The room, shelf or door of a module."""
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("path", [p for p in FILES if p.parent != SOURCE], ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_downward(path):
    room = path.relative_to(SOURCE).parts[0]
    assert room in TABLE, f"{room} has no row in the table of layers"
    used = {room_of(module) for module in imports(path)} - {room, ""}
    assert used <= set(TABLE[room].split())


def test_nothing_lies_flat_in_the_package():
    assert {p.name for p in SOURCE.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_no_circle_among_files():
    graph = {name: imports(path) - {name} for name, path in MODULES.items() if name != "lacunar"}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as circle:
        pytest.fail(f"a circle of imports: {' -> '.join(circle.args[1])}")


def test_a_circle_would_be_seen(tmp_path):
    with pytest.raises(CycleError):
        list(TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())


def test_the_one_who_forgets_and_the_one_who_judges_never_meet():
    for path in (SOURCE / "methods").rglob("*.py"):
        used = imports(path)
        assert not {room_of(module) for module in used} & {"evaluators", "auditing", "report"}
        assert "lacunar.core.stats" not in used
    for path in (SOURCE / "evaluators").rglob("*.py"):
        used = imports(path)
        assert "methods" not in {room_of(module) for module in used}
        known = {f"lacunar.auditing.{name}" for name in JUDGES}
        assert {module for module in used if room_of(module) == "auditing"} <= known


READER = SOURCE / "jobs" / "_torch_reader.py"
"""The one file that may call ``torch.load``, and only with ``weights_only=True``: a program that ``lacunar convert``
runs in a process of its own, under limits, so that people can leave pickles behind. No file of the package imports it.
"""


def _tensors_alone(call: ast.Call) -> bool:
    return any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in call.keywords)


def test_the_reader_of_pickles_is_never_imported():
    assert READER.is_file()
    for path in FILES:
        assert name_of(READER) not in imports(path), path


def test_nothing_can_run_code_from_a_file():
    banned = {"pickle", "dill", "joblib", "marshal", "shelve"}
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
                assert not banned & {n.split(".")[0] for n in names}, path
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("eval", "exec"), path
                assert called != "torch.load" or (path == READER and _tensors_alone(node)), path
                assert not any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords)
