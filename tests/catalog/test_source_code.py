"""What counts as the code behind a result."""

from __future__ import annotations

import sys

import pytest

from lacunar.catalog import registry, source_code
from lacunar.catalog.registry import plugin_class

TRAINING = ("lacunar.core", "lacunar.data", "lacunar.training")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes a package of small modules anew under another name each time, since what was read is remembered."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def make(**modules):
        name = f"of_a_user_{tmp_path.name}_{len(made)}"
        made.append(name)
        folder = tmp_path / name
        folder.mkdir()
        for module, text in {"__init__": "", **modules}.items():
            (folder / f"{module}.py").write_text(text.replace("PACKAGE", name))
        return name

    yield make
    for name in [name for name in sys.modules if name.partition(".")[0] in made]:
        del sys.modules[name]


def test_the_closure_of_training_holds_the_loop_and_nothing_of_unlearning():
    found = source_code.closure("lacunar.training.recipe", TRAINING)
    assert {"lacunar.training.loop", "lacunar.core.named", "lacunar.data.examples"} <= set(found)
    assert not any("unlearning" in name for name in found)


def test_comments_and_docstrings_do_not_count_but_statements_do(package):
    texts = ("x = 1\n", "# why\nx  =  1\n", '"""What."""\nx = 1\n', "x = 2\n")
    plain, commented, documented, other = (source_code.digest_of([f"{package(a=text)}.a"]) for text in texts)
    assert plain == commented == documented != other


def test_what_a_third_partys_file_imports_of_its_own_package_counts(package):
    main = "import torch\nfrom PACKAGE.helper import f\n"
    one, same, other = (package(main=main, helper=f"def f():\n    return {n}\n") for n in (1, 1, 2))
    assert source_code.closure(f"{one}.main", (one,)) == (one, f"{one}.helper", f"{one}.main")
    digests = []
    for name in (one, same, other):
        found = source_code.closure(f"{name}.main", (name,))
        digests.append(source_code.digest_of([n for n in found if n.endswith("helper")]))
    assert digests[0] == digests[1] != digests[2]


def test_relative_imports_count_as_well(package):
    name = package(main="from . import a\nfrom .b import f\n", a="", b="def f():\n    return 1\n")
    assert source_code.closure(f"{name}.main", (name,)) == (name, f"{name}.a", f"{name}.b", f"{name}.main")


def test_a_circle_of_imports_ends(package):
    name = package(a="from PACKAGE import b\n", b="from PACKAGE import a\n")
    assert source_code.closure(f"{name}.a", (name,)) == (name, f"{name}.a", f"{name}.b")


def test_classes_differ_and_a_class_equals_itself():
    one, two = (plugin_class("methods", name) for name in ("fine_tune", "grad_ascent"))
    assert source_code.class_digest(one) == source_code.class_digest(one) != source_code.class_digest(two)


def test_what_a_plug_in_imports_of_its_shelf_counts_and_rooms_on_demand():
    gap = type(registry.find("evaluators", "gradient_residual"))
    alone = source_code.class_digest(gap)
    assert alone == source_code.digest_of(source_code.closure(gap.__module__, ("lacunar.evaluators",)))
    assert source_code.class_digest(gap, ("lacunar.curvature",)) != alone
    found = source_code.closure("lacunar.evaluators.attacks.mia", ("lacunar.evaluators", "lacunar.auditing"))
    assert "lacunar.auditing.signals" in found


def test_a_plug_in_answers_for_those_that_it_holds():
    plain = registry.parse("pruners", "global_magnitude")
    assert source_code.plugin_digest(plain) == source_code.class_digest(type(plain))
    held = [registry.parse("methods", f"prune_first:pruner={name}") for name in ("global_magnitude", "random")]
    assert source_code.plugin_digest(held[0]) != source_code.plugin_digest(held[1])
    assert source_code.plugin_digest(held[0]) != source_code.class_digest(type(held[0]))
