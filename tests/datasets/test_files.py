from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.datasets._files import candidates, check_images, downloads, located, missing, read_csv, read_npz, roots
from tests.datasets.toy import write_csv


def test_a_given_folder_is_the_only_place(monkeypatch):
    monkeypatch.setenv("LACUNAR_DATA", "/elsewhere")
    assert roots("~/here") == [Path.home() / "here"]


def test_else_it_is_where_the_variable_says_and_then_the_download_folder(monkeypatch, tmp_path):
    downloads = tmp_path / "cache" / "lacunar"
    assert roots(None) == [downloads]
    monkeypatch.setenv("LACUNAR_DATA", "~/data")
    assert roots(None) == [Path.home() / "data", downloads]
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert roots(None)[1] == Path.home() / ".cache" / "lacunar"


def test_the_folder_for_what_can_be_made_again(monkeypatch):
    monkeypatch.setenv("LACUNAR_CACHE", "~/kept")
    assert downloads() == Path.home() / "kept"
    monkeypatch.delenv("LACUNAR_CACHE")
    for name, system in (("XDG_CACHE_HOME", "linux"), ("LOCALAPPDATA", "win32")):
        monkeypatch.setenv(name, "/kept")
        monkeypatch.setattr("sys.platform", system)
        assert downloads() == Path("/kept/lacunar")
    monkeypatch.setattr("sys.platform", "darwin")
    assert downloads() == Path.home() / "Library" / "Caches" / "lacunar"


def test_the_root_itself_comes_before_its_folders(tmp_path):
    assert list(candidates(str(tmp_path), ("b", "a"))) == [tmp_path, tmp_path / "b", tmp_path / "a"]


def test_a_folder_is_found_only_with_all_of_its_files(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").touch()
    (tmp_path / "two" / "y").touch()
    assert located("It", str(tmp_path), ("one", "two"), ("x", "y")) == tmp_path / "two"
    (tmp_path / "two" / "y").unlink()
    with pytest.raises(NotApplicable, match=f"It is not on this machine: looked for x and y in {tmp_path};"):
        located("It", str(tmp_path), ("one", "two"), ("x", "y"))


def test_only_data_that_can_be_downloaded_say_how():
    assert "download" not in str(missing("It", "here", "x"))
    assert str(missing("It", "here", "x", "vision")).endswith("or install lacunar[vision] and set download=true")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_rows_have_the_columns_that_are_asked_for_in_that_order(name, tmp_path):
    write_csv(tmp_path, name, ["a,b,c", "1, 2 ,3", '"x, y",5,6'])
    assert read_csv(tmp_path / name, ("c", "a")) == [["3", "1"], ["6", "x, y"]]
    assert read_csv(tmp_path / name, ("b",))[0] == ["2"]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["a,b"], "has no rows, or rows that are cut short; fetch it again"),
        (["a,b", "1"], "cut short"),
        (["a,c", "1,2"], "has no column 'b'; it has a, c"),
    ],
)
def test_tables_that_cannot_be_used(lines, sentence, tmp_path):
    write_csv(tmp_path, "a.csv", lines)
    with pytest.raises(BadInput, match=sentence):
        read_csv(tmp_path / "a.csv", ("a", "b"))


@pytest.mark.parametrize(("name", "content"), [("a.csv", b"\xff\xfe\x00"), ("a.csv.gz", b"a,b"), ("a.csv.gz", b"")])
def test_files_that_are_no_tables(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=r"cannot be read as a CSV file|has no rows"):
        read_csv(tmp_path / name, ("a",))


def test_arrays_come_as_tensors_and_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3), y=np.zeros(2), z=np.array([object()]))
    assert read_npz(path, ("x",))["x"].tolist() == [0, 1, 2]
    with pytest.raises(BadInput, match=r"cannot be read as a NumPy archive .*allow_pickle=False"):
        read_npz(path, ("z",))
    with pytest.raises(BadInput, match="has no array 'w'; it holds x, y, z"):
        read_npz(path, ("x", "w"))
    for content in (path.read_bytes()[:60], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(BadInput, match="cannot be read as a NumPy archive"):
            read_npz(path, ("x",))


X, Y = torch.zeros(4, 2, 2, dtype=torch.uint8), torch.arange(4) % 3


def test_images_that_are_as_they_should_be():
    check_images(Path("a"), X, Y, (2, 2), 3)


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (X.float(), Y, "not uint8 images of shape"),
        (X[:, :1], Y, r"holds images \(4, 1, 2\)"),
        (X, Y[:3], r"labels \(3,\)"),
        (X[:0], Y[:0], "with one label each"),
        (X, Y.float(), r"labels outside 0, \.\.\., 2"),
        (X, Y - 1, "labels outside"),
        (X, Y + 1, "labels outside"),
    ],
)
def test_images_that_are_not(x, y, sentence):
    with pytest.raises(BadInput, match=sentence):
        check_images(Path("a"), x, y, (2, 2), 3)
