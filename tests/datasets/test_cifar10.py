from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lacunar.catalog.registry import find
from lacunar.core.errors import BadInput, NotApplicable

RNG = np.random.default_rng(0)
COLOURS = {i: RNG.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8) for i in range(6)}


def write_colours(folder: Path, lossy: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(6):
        part, file = ("test", "test.npz") if i == 5 else ("train", f"train-{i + 1}.npz")
        marks = np.arange(20) < (lossy if i in (0, 5) else 0)
        np.savez(folder / file, **{f"x_{part}": COLOURS[i], f"y_{part}": np.arange(20) % 10, "lossy": marks})


def test_it_puts_channels_first_and_says_what_is_lossy(tmp_path):
    write_colours(tmp_path / "cifar10")
    splits = find("datasets", "cifar10", folder=str(tmp_path)).load()
    assert splits.train.x.shape == (100, 3, 32, 32)
    assert np.array_equal(splits.train.x[21, 2].numpy(), COLOURS[1][1, :, :, 2])
    assert splits.test.ids.tolist() == list(range(100, 120))
    assert splits.note.startswith("4 of the 120 images are JPEG-recompressed")


def test_notes_count_the_images_in_use(tmp_path):
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


def test_images_are_unpacked_once_and_only_where_one_is_wanted(tmp_path, monkeypatch):
    write_colours(tmp_path)
    copies = tmp_path / "cache" / "lacunar" / "arrays"
    small = find("datasets", "cifar10", folder=str(tmp_path), n_train=10).load()
    assert len(list(copies.iterdir())) == 2
    small.train.x.zero_()
    whole = find("datasets", "cifar10", folder=str(tmp_path)).load()
    assert len(list(copies.iterdir())) == 6
    of_archive = np.lib.npyio.NpzFile.__getitem__

    def without_images(archive, key):
        assert not key.startswith("x_"), "unpacked again"
        return of_archive(archive, key)

    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", without_images)
    again = find("datasets", "cifar10", folder=str(tmp_path), n_train=10).load()
    assert torch.equal(again.train.x, whole.train.x[:10]) and int(again.train.x.max()) > 0


def test_labels_are_checked_without_the_images(tmp_path):
    write_colours(tmp_path)
    np.savez(tmp_path / "train-5.npz", x_train=COLOURS[3], y_train=np.arange(20), lossy=np.zeros(20))
    with pytest.raises(BadInput, match=r"train-5.npz' has labels outside 0, \.\.\., 9"):
        find("datasets", "cifar10", folder=str(tmp_path), n_train=10).load()


def test_pickled_batches_are_refused(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(NotApplicable, match="pickled batches, which lacunar never opens"):
        find("datasets", "cifar10", folder=str(tmp_path)).load()


def test_a_part_with_other_content_is_refused(tmp_path):
    write_colours(tmp_path)
    np.savez(tmp_path / "train-3.npz", x_train=COLOURS[3][:, :16], y_train=np.arange(20) % 10, lossy=np.zeros(20))
    with pytest.raises(BadInput, match=r"train-3.npz' holds images \(20, .* not uint8 images of shape"):
        find("datasets", "cifar10", folder=str(tmp_path)).load()


def test_a_part_that_is_not_there_is_named(tmp_path):
    write_colours(tmp_path)
    (tmp_path / "train-5.npz").unlink()
    with pytest.raises(BadInput, match=r"train-5.npz' cannot be read as a NumPy archive .*No such file"):
        find("datasets", "cifar10", folder=str(tmp_path)).load()


def test_it_is_downloaded_from_the_hub_where_its_library_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(NotApplicable, match=r"install lacunar\[hf\]"):
        find("datasets", "cifar10", download=True).load()
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


@pytest.mark.slow
def test_the_real_cifar10(data_folder):
    splits = find("datasets", "cifar10", folder=str(data_folder)).load()
    assert (len(splits.train), len(splits.test)) == (50_000, 10_000)
    assert splits.note.startswith("92 of the 60,000")
    pixels = splits.train.x.double() / 255
    assert pixels.mean((0, 2, 3)).tolist() == pytest.approx(splits.normalize[0], abs=1e-4)
    assert torch.std(pixels, (0, 2, 3)).tolist() == pytest.approx(splits.normalize[1], abs=1e-4)
