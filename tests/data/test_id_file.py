"""Lists of ids in every format, and every way in which one cannot be read."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.data.examples import Examples
from lacunar.data.id_file import read_ids, read_keys, requested
from lacunar.data.keys import Keys

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
    "another ending": ("x.xlsx", "1", None, "unknown ending .* '.xlsx': choose from .csv, .json, .npy, .parquet, .txt"),
    "a longer row": (
        "x.csv",
        "n,id\nSmith, John,3\n",
        "id",
        r"row 2 of '.*' has 3 entries, the first row 2, so columns",
    ),
    "a longer row without a heading": ("x.csv", "3\n4,5\n", None, "row 2 of .* has 2 entries, the first row 1"),
    "a column twice": ("x.csv", "id,n,id\n1,a,2\n", "id", "has 2 columns 'id'; rename all but one"),
    "a column of a plain list": (
        "x.json",
        "[1, 2]",
        "user",
        "entry 1 of '.*' is no object: leave out --id-column user",
    ),
    "a key twice": ("x.json", '{"ids": [1], "ids": [2]}', None, "the key 'ids' stands twice in one object"),
    "deeply nested": ("x.json", "[" * 100_000, None, "is not a JSON file .it is nested too deeply"),
    "thousands of digits": ("x.json", "[" + "7" * 5000 + "]", None, "is not a JSON file"),
    "thousands of digits in text": ("x.txt", "7" * 5000, None, r"row 1 of '.*' is '7{59}\.\.\., which is not a whole"),
    "a large float": ("x.json", "[1e300]", None, "entry 1 of .* is 1e\\+300"),
    "infinity": ("x.json", "[Infinity]", None, "Infinity is no JSON number"),
    "a magic number of zip": ("x.npy", b"PK\x03\x04" + bytes(40), None, "cannot be read as a plain NumPy array"),
    "a truth": ("x.json", "[true]", None, "entry 1 of .* is True"),
    "not an array": ("x.npy", "1", None, "cannot be read as a plain NumPy array"),
}


@pytest.mark.parametrize("case", BAD)
def test_refusals(tmp_path, case):
    name, content, column, sentence = BAD[case]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadInput, match=sentence):
        read_ids(tmp_path / name, column)


def header(text):
    filled = text.encode() + b" " * (117 - len(text)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(filled).to_bytes(2, "little") + filled


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000000000,), }",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (10000000000000000000000000,), }",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<i8', 'fortran_order'",
        "{'descr': 'zz', 'fortran_order': False, 'shape': (1,), }",
        "((((((((((((",
    ],
)
def test_arrays_with_a_hostile_header(tmp_path, text):
    (tmp_path / "x.npy").write_bytes(header(text) + bytes(8))
    with pytest.raises(BadInput, match="cannot be read as a plain NumPy array"):
        read_ids(tmp_path / "x.npy")


@pytest.mark.parametrize("dtype", [np.uint64, np.longdouble, np.float64, np.complex128, bool, "datetime64[s]"])
def test_arrays_that_hold_no_ids(tmp_path, dtype):
    # 2^64 - 1 became the id -1.
    value = 2**64 - 1 if dtype is np.uint64 else 1 if dtype in (bool, "datetime64[s]") else 1e300
    np.save(tmp_path / "x.npy", np.array([value], dtype=dtype))
    with pytest.raises(BadInput, match=r"entry 1 of .* is .*, which is not a whole number of at most 64 bits"):
        read_ids(tmp_path / "x.npy")


NAMES = Keys.of(["ada", "bob", "cy", "3"])
PEOPLE = Examples.of(torch.zeros(4, 1), torch.zeros(4), ["ada", "bob", "cy", "3"], groups=["u1", "u2", "u1", "7"])


@pytest.mark.parametrize(
    ("name", "text", "column", "keys"),
    [
        ("x.csv", "customer\nbob\nada\n", None, ["bob", "ada"]),
        ("x.csv", "bob\nada\n", None, ["bob", "ada"]),
        ("x.csv", "n,customer\n1,bob\n2,bob\n", "customer", ["bob", "bob"]),
        ("x.json", '["cy", 3]', None, ["cy", "3"]),
        ("x.txt", "cy\n3\n", None, ["cy", "3"]),
    ],
)
def test_names_in_every_format(tmp_path, name, text, column, keys):
    (tmp_path / name).write_text(text)
    assert read_keys(tmp_path / name, NAMES, column) == keys


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("customer\nbob\neve\n", r"row 3 of '.*' is 'eve', which the data set does not have"),
        ("who\nwhat\n", "row 2 of '.*' is 'what'"),
    ],
)
def test_names_that_are_not_there(tmp_path, text, sentence):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(BadInput, match=sentence):
        read_keys(tmp_path / "x.csv", NAMES)


def test_entries_that_are_no_names(tmp_path):
    (tmp_path / "x.json").write_text("[null]")
    with pytest.raises(BadInput, match=r"entry 1 of '.*' is None, which is neither text nor a whole number"):
        read_keys(tmp_path / "x.json", NAMES)


def test_what_a_file_asks_for(tmp_path):
    (tmp_path / "names.txt").write_text("cy\nada")
    (tmp_path / "people.csv").write_text("user_id\nu1\nu1\n7\n")
    (tmp_path / "ids.txt").write_text("2\n0")
    assert requested(tmp_path / "names.txt", PEOPLE).tolist() == [2, 0]
    assert requested(tmp_path / "people.csv", PEOPLE, by="group").tolist() == [0, 2, 3]
    plain = Examples.of(torch.zeros(3, 1), torch.zeros(3))
    assert requested(tmp_path / "ids.txt", plain).tolist() == [2, 0]
    with pytest.raises(BadInput, match="belong to no groups"):
        requested(tmp_path / "people.csv", plain, by="group")
    with pytest.raises(BadInput, match="a list is by id or group, got 'user'"):
        requested(tmp_path / "people.csv", PEOPLE, by="user")


def test_tables_of_ids_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 2), dtype=int))
    with pytest.raises(BadInput, match="one one-dimensional array"):
        read_ids(tmp_path / "x.npy")


def test_missing(tmp_path):
    with pytest.raises(BadInput, match=r"there is no file '.*x.csv' with ids to forget"):
        read_ids(tmp_path / "x.csv")
