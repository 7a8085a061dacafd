from __future__ import annotations

import gzip
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from lacunar.catalog.registry import find
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.datasets.fashion_mnist import IDX, KEYS

RNG = np.random.default_rng(0)
CLOTHES = {
    "x_train": RNG.integers(0, 256, (40, 28, 28), dtype=np.uint8),
    "y_train": np.arange(40) % 10,
    "x_test": RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8),
    "y_test": np.arange(20) % 10,
}


def write_idx(folder: Path, name: str, array: np.ndarray, packed: bool = False) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">i4").tobytes()
    content = header + array.astype(np.uint8).tobytes()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name + (".gz" if packed else ""))
    path.write_bytes(gzip.compress(content) if packed else content)


def write_clothes(folder: Path, packed: bool = False) -> None:
    for name, key in zip(IDX, KEYS, strict=True):
        write_idx(folder, name, CLOTHES[key], packed)


def write_archive(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "fashion-mnist.npz", **CLOTHES)


LAYOUTS = {
    "archive": write_archive,
    "archive-in-folder": lambda root: write_archive(root / "fashion-mnist"),
    "idx": write_clothes,
    "idx-gz": lambda root: write_clothes(root, packed=True),
    "torchvision": lambda root: write_clothes(root / "FashionMNIST" / "raw"),
    "torchvision-gz": lambda root: write_clothes(root / "FashionMNIST" / "raw", packed=True),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("by_variable", [False, True], ids=["folder", "variable"])
def test_it_is_the_same_from_every_layout(layout, by_variable, tmp_path, monkeypatch):
    LAYOUTS[layout](tmp_path)
    if by_variable:
        monkeypatch.setenv("LACUNAR_DATA", str(tmp_path))
    splits = find("datasets", "fashion_mnist", folder=None if by_variable else str(tmp_path)).load()
    assert np.array_equal(splits.train.x[:, 0].numpy(), CLOTHES["x_train"])
    assert np.array_equal(splits.test.x[:, 0].numpy(), CLOTHES["x_test"])
    assert splits.train.y.tolist() == CLOTHES["y_train"].tolist()
    assert splits.test.ids.tolist() == list(range(40, 60))
    assert len(splits.classes) == 10


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"x_train": CLOTHES["x_train"]}, "has no array 'y_train'; it holds x_train"),
        ({**CLOTHES, "x_test": CLOTHES["x_test"][:, :14]}, r"not uint8 images of shape \(28, 28\)"),
        ({**CLOTHES, "x_train": CLOTHES["x_train"] / 255}, "not uint8 images"),
        ({**CLOTHES, "y_test": CLOTHES["y_test"][:3]}, "one label each"),
        ({**CLOTHES, "y_train": CLOTHES["y_train"] + 1}, r"labels outside 0, \.\.\., 9"),
        ({**CLOTHES, "x_train": np.array([object()])}, "cannot be read as a NumPy archive"),
    ],
)
def test_archives_with_other_content_are_refused(content, complaint, tmp_path):
    np.savez(tmp_path / "fashion-mnist.npz", **content)
    with pytest.raises(BadInput, match=complaint):
        find("datasets", "fashion_mnist", folder=str(tmp_path)).load()


@pytest.mark.parametrize("keep", [0, 100, -30])
def test_a_truncated_archive_is_refused(keep, tmp_path):
    write_archive(tmp_path)
    path = tmp_path / "fashion-mnist.npz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInput, match=r"cannot be read as a NumPy archive .*; fetch it again"):
        find("datasets", "fashion_mnist", folder=str(tmp_path)).load()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x00\x08",
        b"\x00\x00\x08\x03",
        b"\x00\x00\x09\x01\x00\x00\x00\x01a",
        b"\x00\x00\x08\x01\x00\x00\x00\x02a",
    ],
)
def test_a_broken_idx_file_is_refused(content, tmp_path):
    write_clothes(tmp_path)
    (tmp_path / IDX[0]).write_bytes(content)
    with pytest.raises(BadInput, match="not a whole idx file"):
        find("datasets", "fashion_mnist", folder=str(tmp_path)).load()


def test_a_broken_gzip_file_is_refused(tmp_path):
    write_clothes(tmp_path, packed=True)
    path = tmp_path / f"{IDX[0]}.gz"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BadInput, match="cannot be unpacked"):
        find("datasets", "fashion_mnist", folder=str(tmp_path)).load()


def test_absent_files_are_named_with_the_way_to_get_them(monkeypatch, tmp_path):
    with pytest.raises(NotApplicable, match=r"looked for fashion-mnist.npz or .* set folder= or LACUNAR_DATA"):
        find("datasets", "fashion_mnist").load()
    monkeypatch.setenv("LACUNAR_DATA", str(tmp_path / "given"))
    with pytest.raises(NotApplicable, match=r"/given, .*cache/lacunar; .*lacunar\[vision\] and set download=true"):
        find("datasets", "fashion_mnist").load()


def test_a_download_without_its_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(NotApplicable, match=r"install lacunar\[vision\]"):
        find("datasets", "fashion_mnist", download=True).load()


def test_it_is_downloaded_once_by_torchvision(tmp_path, monkeypatch):
    calls = []
    vision = types.ModuleType("torchvision.datasets")

    def fake(root, download):
        calls.append((root, download))
        write_clothes(Path(root) / "FashionMNIST" / "raw")

    vision.FashionMNIST = fake
    monkeypatch.setitem(sys.modules, "torchvision.datasets", vision)
    source = find("datasets", "fashion_mnist", download=True)
    assert len(source.load().train) == 40
    assert len(find("datasets", "fashion_mnist").load().train) == 40
    assert calls == [(str(tmp_path / "cache" / "lacunar"), True)]


def test_the_real_fashion_mnist(data_folder):
    splits = find("datasets", "fashion_mnist", folder=str(data_folder)).load()
    assert (len(splits.train), len(splits.test)) == (60_000, 10_000)
    assert set(splits.train.class_counts().values()) == {6000}
    pixels = splits.train.x.float() / 255
    assert float(pixels.mean()) == pytest.approx(splits.normalize[0][0], abs=1e-4)
    assert float(pixels.std()) == pytest.approx(splits.normalize[1][0], abs=1e-4)
