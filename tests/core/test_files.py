from __future__ import annotations

import hashlib
import os

import pytest

from lacunar.core.errors import BadInput
from lacunar.core.files import alone_in, atomic, file_digest, read_json, temporaries, write_json, write_text


def left_in(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_is_there_only_when_the_block_has_ended_well(tmp_path):
    target = tmp_path / "new" / "a.txt"
    with atomic(target) as temporary:
        assert temporary.parent == target.parent and temporary.name != target.name
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole" and left_in(target.parent) == ["a.txt"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_block_leaves_the_old_file_and_no_other(tmp_path, failure):
    target = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(failure), atomic(target) as temporary:
        temporary.write_text("half")
        raise failure
    assert target.read_text() == "old" and left_in(tmp_path) == ["a.txt"]


def test_the_rights_of_a_file_are_those_of_any_new_file(tmp_path):
    # A temporary file is made for its owner alone, which must not stick to what others are to read.
    before = os.umask(0o027)
    try:
        assert write_text(tmp_path / "a.txt", "x").stat().st_mode & 0o777 == 0o640
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_text_is_utf_8_and_replaces_what_was_there(tmp_path):
    path = write_text(str(tmp_path / "a.txt"), "a longer text of before")
    assert write_text(path, "θ ≤ ½").read_bytes() == "θ ≤ ½".encode()


def test_json_comes_back_as_it_was(tmp_path):
    value = {"b": [1, 2.5, None, True], "a": {"ü": "é"}}
    path = write_json(tmp_path / "a.json", value)
    assert read_json(path) == value and list(read_json(path)) == ["b", "a"]
    assert "é" in path.read_text(encoding="utf-8") and path.read_text().endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": -float("inf")}])
def test_numbers_that_json_cannot_hold_are_refused_and_the_old_file_stays(tmp_path, value):
    path = write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, value)
    assert read_json(path) == 1 and left_in(tmp_path) == ["a.json"]


def test_a_file_that_is_not_there_or_not_json_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"there is no file '.*none.json'"):
        read_json(tmp_path / "none.json")
    for content in (b'{"a": 1', b"", b"\xff\xfe"):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(BadInput, match=r"a.json' is not a JSON file \(.*\); is it truncated\?"):
            read_json(tmp_path / "a.json")


def test_temporary_files_of_killed_writers_are_found_by_their_target(tmp_path):
    for name in (".a[1].json.abcd1234.tmp", ".a1.json.abcd1234.tmp", ".a[1].json.abc.tmp", "a[1].json"):
        (tmp_path / name).touch()
    assert temporaries(tmp_path / "a[1].json") == [tmp_path / ".a[1].json.abcd1234.tmp"]
    with atomic(tmp_path / "b.json") as temporary:
        assert temporaries(tmp_path / "b.json") == [temporary]


def test_one_process_at_a_time_works_in_a_folder_and_an_empty_one_goes(tmp_path):
    place = tmp_path / "deep/run"
    with alone_in(place), pytest.raises(BadInput, match=r"is at work in .*; wait until"), alone_in(place):
        pytest.fail("it was entered twice")
    assert not place.exists()
    with alone_in(place):
        (place / "result").touch()
    assert [path.name for path in place.iterdir()] == ["result"]


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert file_digest(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()
