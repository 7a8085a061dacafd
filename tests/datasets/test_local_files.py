"""Fashion-MNIST and CIFAR-10: every file layout, damaged files, absent files, and downloads through faked libraries."""

from __future__ import annotations

import gzip
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lacunar.catalog.registry import find
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.datasets import cifar10, fashion_mnist

RNG = np.random.default_rng(0)
CLOTHES = {
    "x_train": RNG.integers(0, 256, (40, 28, 28), dtype=np.uint8),
    "y_train": np.arange(40) % 10,
    "x_test": RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8),
    "y_test": np.arange(20) % 10,
}
COLOURS = {i: RNG.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8) for i in range(6)}


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch, tmp_path):
    """No data but what a test writes, and nothing remembered from another test."""
    monkeypatch.delenv("LACUNAR_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for cached in (fashion_mnist._read, cifar10._read, cifar10._from_hub):
        cached.cache_clear()


def write_idx(folder: Path, name: str, array: np.ndarray, packed: bool = False) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">i4").tobytes()
    content = header + array.astype(np.uint8).tobytes()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name + (".gz" if packed else ""))
    path.write_bytes(gzip.compress(content) if packed else content)


def write_clothes(folder: Path, packed: bool = False) -> None:
    for name, key in zip(fashion_mnist.IDX, fashion_mnist.KEYS, strict=True):
        write_idx(folder, name, CLOTHES[key], packed)


def write_colours(folder: Path, lossy: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(6):
        part, file = ("test", "test.npz") if i == 5 else ("train", f"train-{i + 1}.npz")
        marks = np.arange(20) < (lossy if i in (0, 5) else 0)
        np.savez(folder / file, **{f"x_{part}": COLOURS[i], f"y_{part}": np.arange(20) % 10, "lossy": marks})


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
def test_fashion_mnist_is_the_same_from_every_layout(layout, by_variable, tmp_path, monkeypatch):
    LAYOUTS[layout](tmp_path)
    if by_variable:
        monkeypatch.setenv("LACUNAR_DATA", str(tmp_path))
    splits = find("datasets", "fashion_mnist", folder=None if by_variable else str(tmp_path)).load()
    assert np.array_equal(splits.train.x[:, 0].numpy(), CLOTHES["x_train"])
    assert np.array_equal(splits.test.x[:, 0].numpy(), CLOTHES["x_test"])
    assert splits.train.y.tolist() == CLOTHES["y_train"].tolist()
    assert splits.test.ids.tolist() == list(range(40, 60))
    assert len(splits.classes) == 10


def test_cifar10_puts_channels_first_and_says_what_is_lossy(tmp_path):
    write_colours(tmp_path / "cifar10")
    splits = find("datasets", "cifar10", folder=str(tmp_path)).load()
    assert splits.train.x.shape == (100, 3, 32, 32)
    assert np.array_equal(splits.train.x[21, 2].numpy(), COLOURS[1][1, :, :, 2])
    assert splits.test.ids.tolist() == list(range(100, 120))
    assert splits.note.startswith("4 of the 120 images are JPEG-recompressed")


def test_cifar10_notes_count_the_images_in_use(tmp_path):
    write_colours(tmp_path)
    folder = str(tmp_path)
    small = find("datasets", "cifar10", folder=folder, n_train=40, n_test=10, validation=0.25).load()
    assert small.note.startswith("4 of the 50 images")
    clean = find("datasets", "cifar10", folder=folder, drop_lossy=True).load()
    assert "4 images" in clean.note
    assert clean.train.ids.tolist() == list(range(2, 100))
    assert clean.test.ids.tolist() == list(range(102, 120))


def test_data_without_lossy_images_need_no_note(tmp_path):
    write_colours(tmp_path, lossy=0)
    assert find("datasets", "cifar10", folder=str(tmp_path)).load().note == ""


def test_files_are_read_once(tmp_path, monkeypatch):
    write_colours(tmp_path)
    source = find("datasets", "cifar10", folder=str(tmp_path))
    first = source.load()
    first.train.x.zero_()
    monkeypatch.setattr(np, "load", lambda *args, **kwargs: pytest.fail("read again"))
    again = find("datasets", "cifar10", folder=str(tmp_path), n_train=20).load()
    assert len(again.train) == 20


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10"])
def test_absent_files_are_named_with_the_ways_to_get_them(name, tmp_path, monkeypatch):
    with pytest.raises(NotApplicable, match=r"looked for .* in .*cache/lacunar; set folder= or LACUNAR_DATA"):
        find("datasets", name).load()
    monkeypatch.setenv("LACUNAR_DATA", str(tmp_path / "given"))
    with pytest.raises(NotApplicable, match=r"/given, .*cache/lacunar.* set download=true"):
        find("datasets", name).load()
    with pytest.raises(NotApplicable, match=r"in nowhere;"):
        find("datasets", name, folder="nowhere").load()


def test_pickled_batches_are_refused(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(NotApplicable, match="pickled batches, which lacunar never opens"):
        find("datasets", "cifar10", folder=str(tmp_path)).load()


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
    (tmp_path / fashion_mnist.IDX[0]).write_bytes(content)
    with pytest.raises(BadInput, match="not a whole idx file"):
        find("datasets", "fashion_mnist", folder=str(tmp_path)).load()


def test_a_broken_gzip_file_is_refused(tmp_path):
    write_clothes(tmp_path, packed=True)
    path = tmp_path / f"{fashion_mnist.IDX[0]}.gz"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BadInput, match="cannot be unpacked"):
        find("datasets", "fashion_mnist", folder=str(tmp_path)).load()


@pytest.mark.parametrize(("name", "module"), [("fashion_mnist", "torchvision.datasets"), ("cifar10", "datasets")])
def test_a_download_without_its_library_says_what_to_install(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(NotApplicable, match=r"install lacunar\[(vision|hf)\]"):
        find("datasets", name, download=True).load()


def test_fashion_mnist_is_downloaded_once_by_torchvision(tmp_path, monkeypatch):
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


def test_cifar10_is_downloaded_from_the_hub(monkeypatch):
    asked = []
    hub = types.ModuleType("datasets")

    def load_dataset(name, split):
        asked.append((name, split))
        n = 20 if split == "train" else 10
        return {"img": [Image.fromarray(image) for image in COLOURS[0][:n]], "label": [i % 10 for i in range(n)]}

    hub.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", hub)
    splits = find("datasets", "cifar10", download=True).load()
    assert asked == [("uoft-cs/cifar10", "train"), ("uoft-cs/cifar10", "test")]
    assert np.array_equal(splits.train.x[3, 1].numpy(), COLOURS[0][3, :, :, 1])
    assert splits.note == ""
    assert splits.test.ids.tolist() == list(range(20, 30))


def test_the_real_fashion_mnist(data_folder):
    splits = find("datasets", "fashion_mnist", folder=str(data_folder)).load()
    assert (len(splits.train), len(splits.test)) == (60_000, 10_000)
    assert set(splits.train.class_counts().values()) == {6000}
    pixels = splits.train.x.float() / 255
    assert float(pixels.mean()) == pytest.approx(splits.normalize[0][0], abs=1e-4)
    assert float(pixels.std()) == pytest.approx(splits.normalize[1][0], abs=1e-4)


@pytest.mark.slow
def test_the_real_cifar10(data_folder):
    splits = find("datasets", "cifar10", folder=str(data_folder)).load()
    assert (len(splits.train), len(splits.test)) == (50_000, 10_000)
    assert splits.note.startswith("92 of the 60,000")
    pixels = splits.train.x.double() / 255
    assert pixels.mean((0, 2, 3)).tolist() == pytest.approx(splits.normalize[0], abs=1e-4)
    assert torch.std(pixels, (0, 2, 3)).tolist() == pytest.approx(splits.normalize[1], abs=1e-4)
