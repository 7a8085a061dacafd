"""Fashion-MNIST from local files: a NumPy archive or the original idx files."""

from __future__ import annotations

import gzip
import importlib
import math
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.data_set import DataSource, Splits
from lacunar.datasets._files import candidates, check_images, missing, read_npz, roots
from lacunar.datasets._splits import numbered, splits

FOLDERS = ("fashion-mnist", "FashionMNIST/raw", "fashion-mnist/FashionMNIST/raw")
ARCHIVE = "fashion-mnist.npz"
KEYS = ("x_train", "y_train", "x_test", "y_test")
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


@dataclass(frozen=True)
class FashionMnist(DataSource):
    """60,000 + 10,000 grey images of clothes, 28x28, ten classes (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747).

    Read from ``fashion-mnist.npz`` (arrays x_train, y_train, x_test, y_test) or from the four idx files that
    torchvision keeps under ``FashionMNIST/raw``, plain or gzipped. Images are uint8 ``[n, 1, 28, 28]``.

    Attributes:
        n_train, n_test: None for all; else class-balanced subsets, the first ones of each class, in stored order.
        validation, tuning: shares of the training subset to hold out for the judge and for methods, stratified.
        seed: of these two parts only.
        folder: where the files are; None for the folder that the environment variable LACUNAR_DATA names.
        download: let torchvision fetch the files if they are not there.
    """

    n_train: int | None = None
    n_test: int | None = None
    validation: float = 0.0
    seed: int = 0
    folder: str | None = None
    download: bool = False
    tuning: float = 0.0

    def load(self) -> Splits:
        place = _find(self.folder)
        if place is None and self.download:
            _download(roots(self.folder)[-1])
            place = _find(self.folder)
        if place is None:
            raise missing("Fashion-MNIST", self.folder, f"{ARCHIVE} or the idx files", "vision")
        x_train, y_train, x_test, y_test = _read(place)
        return splits(
            numbered(x_train, y_train),
            numbered(x_test, y_test, first_id=len(y_train)),
            n_train=self.n_train,
            n_test=self.n_test,
            validation=self.validation,
            tuning=self.tuning,
            seed=self.seed,
            normalize=((0.2860,), (0.3530,)),
            classes=CLASSES,
        )


def _find(folder: str | None) -> Path | None:
    for place in candidates(folder, FOLDERS):
        if (place / ARCHIVE).is_file() or all(_idx_file(place, name) for name in IDX):
            return place
    return None


def _idx_file(place: Path, name: str) -> Path | None:
    return next((path for path in (place / name, place / f"{name}.gz") if path.is_file()), None)


def _download(root: Path) -> None:
    try:
        vision = importlib.import_module("torchvision.datasets")
    except ImportError as error:
        raise NotApplicable("downloading Fashion-MNIST needs torchvision: install lacunar[vision]") from error
    vision.FashionMNIST(str(root), download=True)


@cache
def _read(place: Path) -> tuple[Tensor, ...]:
    if (path := place / ARCHIVE).is_file():
        arrays = read_npz(path, KEYS)
        parts = [arrays[key] for key in KEYS]
    else:
        path = place
        parts = [read_idx(found) for name in IDX if (found := _idx_file(place, name))]
    for x, y in (parts[:2], parts[2:]):
        check_images(path, x, y, (28, 28), len(CLASSES))
    return parts[0][:, None], parts[1].long(), parts[2][:, None], parts[3].long()


def read_idx(path: Path) -> Tensor:
    """The uint8 array of an idx file, plain or gzipped: big-endian int32 of 0x0800 + dimensions, their sizes, the data.

    Raises:
        BadInput: not such a file, or one that is cut short.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{str(path)!r} cannot be unpacked ({error}); fetch it again") from error
    dimensions = content[3] if content[:3] == b"\x00\x00\x08" and len(content) > 3 else 0
    start = 4 + 4 * dimensions
    shape = np.frombuffer(content[4:start], dtype=">i4").tolist() if len(content) >= start else []
    if not shape or len(content) - start != math.prod(shape):
        raise BadInput(f"{str(path)!r} is not a whole idx file of bytes; fetch it again")
    return torch.tensor(np.frombuffer(content, dtype=np.uint8, offset=start)).reshape(shape)
