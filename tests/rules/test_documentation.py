"""The pages that are made from the code are those of the code as it is; links on written pages lead somewhere."""

from __future__ import annotations

import re

import pytest

from docs import make_map, make_reference
from tests.rules.test_layers import TABLE

DOCS = make_reference.HERE
WRITTEN = sorted([*DOCS.glob("*.md"), *DOCS.glob("decisions/*.md"), *DOCS.parent.glob("*.md")])
STALE = "stale: run make docs"


def test_pages_of_plugins_are_those_of_the_catalog():
    made = make_reference.pages()
    there = {
        f"{path.parent.name}/{path.name}" for name in ("methods", "metrics") for path in (DOCS / name).glob("*.md")
    }
    assert there == set(made), STALE
    assert [path for path, text in made.items() if (DOCS / path).read_text(encoding="utf-8") != text] == [], STALE


def test_the_map_is_that_of_the_table_of_layers():
    table, page = make_map.layers(), (DOCS / "map.md").read_text(encoding="utf-8")
    assert make_map.renewed(page, table) == page, STALE
    assert (DOCS / "map.svg").read_text(encoding="utf-8") == make_map.picture(table), STALE
    assert table.keys() <= TABLE.keys() and all(below <= set(TABLE[room].split()) for room, below in table.items())
    assert all(f"| `{room}` |" in page for room in table)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if not target.startswith(("http:", "https:", "mailto:"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_lines_of_the_picture_lead_down_to_all_that_may_be_imported():
    table = {"a": set(), "b": {"a"}, "c": {"a"}, "d": {"a", "b"}, "e": {"a", "b", "c", "d"}}
    assert make_map.depths(table) == {"a": 0, "b": 1, "c": 1, "d": 2, "e": 3}
    assert make_map.arrows(table) == [("b", "a"), ("c", "a"), ("d", "b"), ("e", "c"), ("e", "d")]
    assert make_map.links(table) == {("b", "a"), ("c", "a"), ("d", "b"), ("e", "d"), ("e", "c@2"), ("c@2", "c")}
    at = make_map.places(table)
    assert at["e"][1] < at["d"][1] == at["c@2"][1] < at["b"][1] == at["c"][1] < at["a"][1]
    assert len(set(at.values())) == len(at)
    assert make_map.picture(table).count("<path") == 6 and make_map.picture(table).count("<text") == 5


def test_what_is_written_outside_of_the_marks_stays():
    page = "before\n<!-- made: door -->\nworn out\n<!-- end -->\nafter\n<!-- made: room -->\n<!-- end -->\n"
    renewed = make_map.renewed(page, make_map.layers())
    assert renewed.startswith("before\n") and "\nafter\n" in renewed and "worn out" not in renewed
    assert renewed.index("| `cli` |") < renewed.index("after") < renewed.index("| `core` |")


def test_a_page_of_a_plugin_that_is_gone_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(make_reference, "HERE", tmp_path)
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "gone.md").write_text("old")
    make_reference.main()
    assert {path.name for path in (tmp_path / "methods").iterdir()} == {
        path.name for path in (DOCS / "methods").iterdir()
    }


def test_underscores_are_escaped_where_they_could_mark_emphasis():
    page = make_reference.page_of("methods", "influence")
    assert "∑\\_(D_f) ∇ℓ_i" in page and "`samples`" in page
    # A formula of its own stands in a block of code, where nothing is escaped.
    assert "\n    min_θ α (L(θ; D_r)" in make_reference.page_of("methods", "neg_grad_plus")


def test_a_setting_shows_default_type_and_words_also_where_training_explains_it():
    page = make_reference.page_of("methods", "l1_sparse")
    assert "| `solver` | `subgradient` | 'subgradient' or 'proximal' | \"subgradient\" adds" in page
    assert "| `batch_size` | `256` | int | examples per step. |" in page
    assert make_reference.page_of("methods", "do_nothing").endswith("## Settings\n\nNone.\n")
