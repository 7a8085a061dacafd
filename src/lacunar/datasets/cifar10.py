"""CIFAR-10 from local NumPy archives."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lacunar.core.errors import NotApplicable
from lacunar.data.data_set import DataSource, Splits
from lacunar.data.examples import Examples
from lacunar.datasets._files import candidates, check_images, missing, read_npz
from lacunar.datasets._splits import numbered, splits

FOLDERS = ("cifar10",)
TRAIN = tuple(f"train-{i}.npz" for i in range(1, 6))
TEST = "test.npz"
PICKLES = "cifar-10-batches-py"
HUB = "uoft-cs/cifar10"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

Part = tuple[Tensor, Tensor, Tensor]
"""Images uint8 ``[n, 3, 32, 32]``, labels, and which images are lossy copies."""


@dataclass(frozen=True)
class Cifar10(DataSource):
    """50,000 + 10,000 colour images, 32x32, ten classes (Krizhevsky 2009), in the official order.

    Read from ``train-1.npz``, ..., ``train-5.npz`` (arrays x_train ``[n, 32, 32, 3]`` uint8, y_train, lossy) and
    ``test.npz`` (x_test, y_test, lossy), once per process and folder, since decompression takes seconds. Images are
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
            self._examples(train, 0),
            self._examples(test, len(train[1])),
            n_train=self.n_train,
            n_test=self.n_test,
            validation=self.validation,
            tuning=self.tuning,
            seed=self.seed,
            normalize=((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
            classes=CLASSES,
        )
        return replace(made, note=self._note(made, torch.cat([train[2], test[2]])))

    def _parts(self) -> tuple[Part, Part]:
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

    def _examples(self, part: Part, first_id: int) -> Examples:
        x, y, lossy = part
        examples = numbered(x, y, first_id)
        return examples.take((~lossy).nonzero().reshape(-1)) if self.drop_lossy else examples

    def _note(self, made: Splits, lossy: Tensor) -> str:
        if not bool(lossy.any()):
            return ""
        if self.drop_lossy:
            return f"the {int(lossy.sum())} images of CIFAR-10 that were only to be had as JPEG copies are left out"
        parts = [part for part in (made.train, made.validation, made.tuning, made.test) if part is not None]
        counts, total = [int(lossy[part.ids].sum()) for part in parts], sum(map(len, parts))
        return f"{sum(counts)} of the {total:,} images are JPEG-recompressed copies of the CIFAR-10 originals"


@cache
def _read(place: Path) -> tuple[Part, Part]:
    parts = [_part(place / name, "train") for name in TRAIN]
    x, y, lossy = (torch.cat([part[i] for part in parts]) for i in range(3))
    return (x, y, lossy), _part(place / TEST, "test")


def _part(path: Path, name: str) -> Part:
    arrays = read_npz(path, (f"x_{name}", f"y_{name}", "lossy"))
    x, y, lossy = arrays.values()
    check_images(path, x, y, (32, 32, 3), len(CLASSES))
    return x.permute(0, 3, 1, 2).contiguous(), y.long(), lossy.bool()


@cache
def _from_hub() -> tuple[Part, Part]:
    try:
        hub = importlib.import_module("datasets")
    except ImportError as error:
        raise NotApplicable("downloading CIFAR-10 needs the package datasets: install lacunar[hf]") from error
    return _hub_part(hub.load_dataset(HUB, split="train")), _hub_part(hub.load_dataset(HUB, split="test"))


def _hub_part(rows: Any) -> Part:
    x = torch.from_numpy(np.stack([np.asarray(image, dtype=np.uint8) for image in rows["img"]]))
    y = torch.tensor(rows["label"])
    check_images(Path(HUB), x, y, (32, 32, 3), len(CLASSES))
    return x.permute(0, 3, 1, 2).contiguous(), y, torch.zeros(len(y), dtype=torch.bool)
