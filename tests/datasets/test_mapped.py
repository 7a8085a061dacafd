import os

import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.datasets._mapped import mapped

CALLS = []


def doubled(path):
    """What a reader makes of a file: here twice its bytes."""
    CALLS.append(path)
    return torch.tensor(list(path.read_bytes()), dtype=torch.uint8) * 2


@pytest.fixture
def source(tmp_path, monkeypatch):
    CALLS.clear()
    monkeypatch.setenv("LACUNAR_CACHE", str(tmp_path / "copies"))
    path = tmp_path / "data.bin"
    path.write_bytes(bytes([1, 2, 3]))
    return path


def copies(tmp_path, folder="copies"):
    return sorted((tmp_path / folder / "arrays").iterdir())


def test_a_copy_is_made_once_and_is_never_written_to_by_who_uses_it(tmp_path, source, monkeypatch):
    first = mapped(source, doubled)
    assert first.tolist() == [2, 4, 6] and len(copies(tmp_path)) == 1
    content = copies(tmp_path)[0].read_bytes()
    first[0] = 9
    assert copies(tmp_path)[0].read_bytes() == content
    # Another process meets the copy alone, which a second cache folder with the same content stands for.
    monkeypatch.setenv("LACUNAR_CACHE", str(tmp_path / "moved"))
    (tmp_path / "copies").rename(tmp_path / "moved")
    assert mapped(source, doubled).tolist() == [2, 4, 6] and len(CALLS) == 1


def test_a_file_that_changed_is_read_again_and_its_old_copy_is_swept(tmp_path, source):
    mapped(source, doubled)
    (old,) = copies(tmp_path)
    source.write_bytes(bytes([5, 6, 7]))
    os.utime(source, ns=(1, 1))
    assert mapped(source, doubled).tolist() == [10, 12, 14]
    assert len(copies(tmp_path)) == 1 and old not in copies(tmp_path)


@pytest.mark.parametrize("damage", [lambda c: b"", lambda c: c[:-1], lambda c: b"\x93NUMPY" + bytes(80)])
def test_a_damaged_copy_is_made_again(tmp_path, source, monkeypatch, damage):
    mapped(source, doubled)
    (good,) = copies(tmp_path)
    other = tmp_path / "other" / "arrays" / good.name
    other.parent.mkdir(parents=True)
    other.write_bytes(damage(good.read_bytes()))
    monkeypatch.setenv("LACUNAR_CACHE", str(tmp_path / "other"))
    assert mapped(source, doubled).tolist() == [2, 4, 6] and len(CALLS) == 2
    assert other.read_bytes() == good.read_bytes()


def test_where_no_copy_can_be_kept_the_array_stays_in_memory(tmp_path, source, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LACUNAR_CACHE", str(tmp_path / "file"))
    assert mapped(source, doubled).tolist() == mapped(source, doubled).tolist() == [2, 4, 6]
    assert len(CALLS) == 1


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match=r"absent' cannot be read .No such file"):
        mapped(tmp_path / "absent", doubled)
