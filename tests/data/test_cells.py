import importlib.util

import pytest

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.cells import read_cells

ARROW = importlib.util.find_spec("pyarrow") is not None


def test_entries_have_places_and_the_first_of_a_csv_file_may_be_a_heading(tmp_path):
    (tmp_path / "x.csv").write_text("id,\n3,\n")
    cells = read_cells(tmp_path / "x.csv", "id")
    assert cells.entries == [("row 2", "3")] and not cells.heading
    (tmp_path / "y.csv").write_text("a\nb\n")
    cells = read_cells(tmp_path / "y.csv")
    assert cells.entries == [("row 1", "a"), ("row 2", "b")] and cells.heading


def test_a_heading_of_thousands_of_letters_is_cut(tmp_path):
    (tmp_path / "x.csv").write_text("a" * 100_000 + ",b\n1,2\n")
    for column in (None, "c"):
        with pytest.raises(BadInput, match=r"a{60}") as caught:
            read_cells(tmp_path / "x.csv", column)
        assert len(str(caught.value)) < 500


@pytest.mark.skipif(ARROW, reason="pyarrow is installed")
def test_parquet_without_its_reader_says_what_to_install(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(NotApplicable, match="needs pyarrow: install it, or save the ids as csv"):
        read_cells(tmp_path / "x.parquet")


@pytest.mark.skipif(not ARROW, reason="pyarrow is not installed")
def test_parquet(tmp_path):
    arrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
    parquet.write_table(arrow.table({"n": [1, 2], "user": ["a", "b"]}), tmp_path / "x.parquet")
    assert read_cells(tmp_path / "x.parquet", "user").entries == [("row 1", "a"), ("row 2", "b")]
    with pytest.raises(BadInput, match="has the columns n, user"):
        read_cells(tmp_path / "x.parquet")
    (tmp_path / "y.parquet").write_bytes(b"PAR1" + bytes(50))
    with pytest.raises(BadInput, match="cannot be read as parquet"):
        read_cells(tmp_path / "y.parquet")
