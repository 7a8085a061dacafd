"""Lists of ids in every format, and every way in which one cannot be read."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.data.id_file import read_ids

GOOD = {
    "plain.csv": ("3\n5\n8\n", None),
    "heading.csv": ("customer_id\n3\n5\n8\n", None),
    "named.csv": ("name,customer_id\na,3\nb,5\nc,8\n", "customer_id"),
    "semicolons.csv": ("\ufeffname;customer_id\na;3\nb; 5\nc;8\n", "customer_id"),
    "tabs.csv": ("customer_id\tname\n3\ta\n5\tb\n\n8\tc\n", "customer_id"),
    "quoted.csv": ('note,customer_id\n"one, two\nlines",3\nb,5\nc,8\n', "customer_id"),
    "floats.csv": ("id\n3.0\n5.0\n8.\n", None),
    "list.json": ("[3, 5, 8]", None),
    "words.json": ('["3", 5.0, 8]', None),
    "object.json": ('{"ids": [3, 5, 8]}', None),
    "rows.json": (json.dumps([{"id": i, "n": "x"} for i in (3, 5, 8)]), "id"),
    "lines.txt": ("3\n5\n\n 8", None),
}


@pytest.mark.parametrize("name", GOOD)
def test_formats(tmp_path, name):
    text, column = GOOD[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    ids = read_ids(tmp_path / name, column)
    assert ids.dtype == torch.int64
    assert ids.tolist() == [3, 5, 8]


def test_arrays(tmp_path):
    for dtype in (np.int64, np.int32, np.uint8, np.float64):
        np.save(tmp_path / "ids.npy", np.array([3, 5, 8], dtype=dtype))
        assert read_ids(tmp_path / "ids.npy").tolist() == [3, 5, 8]


def test_order_and_repetitions_are_kept(tmp_path):
    (tmp_path / "x.csv").write_text("8\n3\n8\n-1\n")
    assert read_ids(tmp_path / "x.csv").tolist() == [8, 3, 8, -1]


def test_the_largest_ids_stay_exact(tmp_path):
    ids = [2**63 - 1, -(2**63), 2**53 + 1]
    (tmp_path / "x.csv").write_text("".join(f"{i}\n" for i in ids))
    assert read_ids(tmp_path / "x.csv").tolist() == ids


BAD = {
    "a typo in the first row is no heading": ("x.csv", "1a\n2\n", None, r"row 1 of '.*x.csv' is '1a', which is not"),
    "the row counts the heading": ("x.csv", "id\n1\n2\nx\n", None, r"row 4 of '.*' is 'x'"),
    "the row is that of the file, not of the record": ("x.csv", 'n,id\n"a\nb",1\nc,x\n', "id", r"row 4 of"),
    "fractions": ("x.csv", "1\n2.5\n", None, r"row 2 of '.*' is '2.5'"),
    "too large": ("x.csv", f"{2**63}\n", None, "at most 64 bits"),
    "a short row": ("x.csv", "n,id\na,1\nb\n", "id", r"row 3 of '.*' has no column 'id'"),
    "many columns": ("x.csv", "n,id\na,1\n", None, "has the columns n, id: say with --id-column which holds the ids"),
    "another column": ("x.csv", "n,id\na,1\n", "ids", "unknown column of .*: 'ids': did you mean 'id'"),
    "not text": ("x.csv", b"\xff\xfe1\n", None, "is not a text file in UTF-8"),
    "null": ("x.json", "[1, null]", None, "entry 2 of '.*' is None"),
    "no list": ("x.json", "3", None, "must hold a list of ids"),
    "no key": ("x.json", '[{"id": 1}, {"ids": 2}]', "id", "unknown key in entry 2 of .*: 'id': did you mean 'ids'"),
    "a column of lines": ("x.txt", "1\n", "id", "a .txt file has no columns: leave out --id-column id"),
    "another ending": ("x.parquet", "1", None, "unknown ending .* '.parquet': choose from .csv, .json, .npy, .txt"),
    "not an array": ("x.npy", "1", None, "cannot be read as a plain NumPy array"),
}


@pytest.mark.parametrize("case", BAD)
def test_refusals(tmp_path, case):
    name, content, column, sentence = BAD[case]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadInput, match=sentence):
        read_ids(tmp_path / name, column)


def test_tables_of_ids_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 2), dtype=int))
    with pytest.raises(BadInput, match="one one-dimensional array"):
        read_ids(tmp_path / "x.npy")


def test_missing(tmp_path):
    with pytest.raises(BadInput, match=r"there is no file '.*x.csv' with ids to forget"):
        read_ids(tmp_path / "x.csv")
