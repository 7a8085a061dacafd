"""CIFAR-10 from local NumPy archives."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lacunar.core.errors import NotApplicable
from lacunar.data.data_set import DataSource, Splits
from lacunar.data.examples import Examples, Source
from lacunar.datasets._files import candidates, check_images, missing, read_npz
from lacunar.datasets._mapped import mapped
from lacunar.datasets._splits import numbered, splits

FOLDERS = ("cifar10",)
TRAIN = tuple(f"train-{i}.npz" for i in range(1, 6))
TEST = "test.npz"
PICKLES = "cifar-10-batches-py"
HUB = "uoft-cs/cifar10"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

SHAPE = (32, 32, 3)


@dataclass(frozen=True)
class Rows:
    """The labels of a part of the data set, which of its images are lossy copies, and the images, file by file.

    Attributes:
        y, lossy: ``[n]``.
        files: how many images each file has, and the function that reads them: uint8 ``[count, 3, 32, 32]``.
    """

    y: Tensor
    lossy: Tensor
    files: tuple[tuple[int, Callable[[], Tensor]], ...]

    def images(self, positions: Tensor) -> Tensor:
        """The images at these positions; a file without one of them is not read."""
        out = torch.empty((len(positions), SHAPE[2], *SHAPE[:2]), dtype=torch.uint8)
        first = 0
        for count, read in self.files:
            here = ((positions >= first) & (positions < first + count)).nonzero().reshape(-1)
            if len(here):
                out[here] = read()[positions[here] - first]
            first += count
        return out


@dataclass(frozen=True)
class Cifar10(DataSource):
    """50,000 + 10,000 colour images, 32x32, ten classes (Krizhevsky 2009), in the official order.

    Read from ``train-1.npz``, ..., ``train-5.npz`` (arrays x_train ``[n, 32, 32, 3]`` uint8, y_train, lossy) and
    ``test.npz`` (x_test, y_test, lossy), only those files that hold an example in use. Decompression takes seconds, so
    it is done once: the folder that LACUNAR_CACHE names, or the user's cache folder, keeps unpacked copies. Images are
    uint8 ``[n, 3, 32, 32]``. The pickled files of the original archive are refused.

    Attributes:
        n_train, n_test: None for all; else class-balanced subsets, the first ones of each class, in stored order.
        validation, tuning: shares of the training subset to hold out for the judge and for methods, stratified.
        seed: of these two parts only.
        drop_lossy: leave out the images that the files mark as recompressed copies; ids stay as they are.
        folder: where the files are; None for the folder that the environment variable LACUNAR_DATA names.
        download: fetch the data from the Hugging Face hub (parquet) if the files are not there.
    """

    n_train: int | None = None
    n_test: int | None = None
    validation: float = 0.0
    seed: int = 0
    drop_lossy: bool = False
    folder: str | None = None
    download: bool = False
    tuning: float = 0.0

    def load(self) -> Splits:
        train, test = self._parts()
        made = splits(
            self._places(train, 0),
            self._places(test, len(train.y)),
            n_train=self.n_train,
            n_test=self.n_test,
            validation=self.validation,
            tuning=self.tuning,
            seed=self.seed,
            normalize=((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
            classes=CLASSES,
        )
        return replace(
            made,
            train=_shown(made.train, train),
            test=_shown(made.test, test),
            validation=None if made.validation is None else _shown(made.validation, train),
            tuning=None if made.tuning is None else _shown(made.tuning, train),
            note=self._note(made, torch.cat([train.lossy, test.lossy])),
        )

    def _parts(self) -> tuple[Rows, Rows]:
        place = next((p for p in candidates(self.folder, FOLDERS) if (p / TEST).is_file()), None)
        if place is not None:
            return _read(place)
        if self.download:
            return _from_hub()
        if found := next((p / PICKLES for p in candidates(self.folder, FOLDERS) if (p / PICKLES).is_dir()), None):
            raise NotApplicable(
                f"{str(found)!r} holds pickled batches, which lacunar never opens, since a pickle can run any code; "
                "install lacunar[hf] and set download=true to get CIFAR-10 as parquet"
            )
        raise missing("CIFAR-10", self.folder, f"{TRAIN[0]}, ..., {TRAIN[-1]} and {TEST}", "hf")

    def _places(self, rows: Rows, first_id: int) -> Examples:
        # Which examples are in use is decided by labels alone; until then positions stand for the images.
        examples = numbered(torch.arange(len(rows.y)), rows.y, first_id)
        return examples.take((~rows.lossy).nonzero().reshape(-1)) if self.drop_lossy else examples

    def _note(self, made: Splits, lossy: Tensor) -> str:
        if not bool(lossy.any()):
            return ""
        if self.drop_lossy:
            return f"the {int(lossy.sum())} images of CIFAR-10 that were only to be had as JPEG copies are left out"
        parts = [part for part in (made.train, made.validation, made.tuning, made.test) if part is not None]
        counts, total = [int(lossy[part.ids].sum()) for part in parts], sum(map(len, parts))
        return f"{sum(counts)} of the {total:,} images are JPEG-recompressed copies of the CIFAR-10 originals"


def _shown(examples: Source, rows: Rows) -> Examples:
    assert isinstance(examples, Examples) and isinstance(examples.x, Tensor)
    return replace(examples, x=rows.images(examples.x))


def _read(place: Path) -> tuple[Rows, Rows]:
    train = _rows([place / name for name in TRAIN], "train", _train_images)
    return train, _rows([place / TEST], "test", _test_images)


def _rows(paths: list[Path], name: str, make: Callable[[Path], Tensor]) -> Rows:
    labels = [_labels(path, name) for path in paths]
    files = tuple((len(y), partial(mapped, path, make)) for path, (y, _) in zip(paths, labels, strict=True))
    return Rows(torch.cat([y for y, _ in labels]), torch.cat([lossy for _, lossy in labels]), files)


def _labels(path: Path, name: str) -> tuple[Tensor, Tensor]:
    y, lossy = read_npz(path, (f"y_{name}", "lossy")).values()
    # Images that take no memory stand for those of the file, which are checked when one of them is wanted.
    check_images(path, torch.zeros((), dtype=torch.uint8).expand(*lossy.shape, *SHAPE), y, SHAPE, len(CLASSES))
    return y.long(), lossy.bool()


def _train_images(path: Path) -> Tensor:
    return _images(path, "train")


def _test_images(path: Path) -> Tensor:
    return _images(path, "test")


def _images(path: Path, name: str) -> Tensor:
    x, y = read_npz(path, (f"x_{name}", f"y_{name}")).values()
    check_images(path, x, y, SHAPE, len(CLASSES))
    return x.permute(0, 3, 1, 2).contiguous()


@cache
def _from_hub() -> tuple[Rows, Rows]:
    try:
        hub = importlib.import_module("datasets")
    except ImportError as error:
        raise NotApplicable("downloading CIFAR-10 needs the package datasets: install lacunar[hf]") from error
    return _hub_part(hub.load_dataset(HUB, split="train")), _hub_part(hub.load_dataset(HUB, split="test"))


def _hub_part(rows: Any) -> Rows:
    x = torch.from_numpy(np.stack([np.asarray(image, dtype=np.uint8) for image in rows["img"]]))
    y = torch.tensor(rows["label"])
    check_images(Path(HUB), x, y, SHAPE, len(CLASSES))
    images = x.permute(0, 3, 1, 2).contiguous()
    return Rows(y, torch.zeros(len(y), dtype=torch.bool), ((len(y), lambda: images),))
