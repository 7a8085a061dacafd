"""E-mails as bags of words, names of people among them, from local files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from lacunar.core.errors import BadInput
from lacunar.data.data_set import DataSource, Splits
from lacunar.datasets._files import located, read_npz
from lacunar.datasets._splits import columns_named, numbered, splits, stratified

FOLDERS = ("enron-spam-bow",)
ARCHIVE, VOCABULARY = "enron-spam-bow.npz", "vocabulary.txt"
N_TEST = 1744


@dataclass(frozen=True)
class Enron(DataSource):
    """6,744 e-mails, 4,902 words, two classes (ham, spam): 5,000 for training, the others for testing, fixed split.

    Read from ``enron-spam-bow.npz`` (CSR arrays data, indices, indptr, shape, and y) and ``vocabulary.txt``. A row
    marks the words that an e-mail has and is scaled to length 1. The words are those of at least 100 mails: the
    vocabulary was made from the data and is not unlearned with a column. This is the test part of the corpus that
    arXiv:2108.11577 trains on, so figures are not comparable with that paper's.

    Attributes:
        n_train, n_test: None for all; else class-balanced subsets, the first ones of each class, in stored order.
        validation, tuning: shares of the training subset to hold out for the judge and for methods, stratified.
        seed: of these two parts only.
        folder: where the files are; None for the folder that the environment variable LACUNAR_DATA names.
    """

    n_train: int | None = None
    n_test: int | None = None
    validation: float = 0.0
    seed: int = 0
    folder: str | None = None
    tuning: float = 0.0

    def load(self) -> Splits:
        x, y, _ = _read(self._place())
        test, train = stratified(y, 0, test=N_TEST / len(y))
        return splits(
            numbered(x[train], y[train]),
            numbered(x[test], y[test], first_id=len(train)),
            n_train=self.n_train,
            n_test=self.n_test,
            validation=self.validation,
            tuning=self.tuning,
            seed=self.seed,
            classes=("ham", "spam"),
        )

    def columns(self, *names: str) -> tuple[int, ...]:
        """The positions of words.

        Raises:
            BadInput: a word that is not in the vocabulary.
        """
        return columns_named(_read(self._place())[2], names)

    def _place(self) -> Path:
        return located("Enron", self.folder, FOLDERS, (ARCHIVE, VOCABULARY))


@cache
def _read(place: Path) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    arrays = read_npz(place / ARCHIVE, ("data", "indices", "indptr", "shape", "y"))
    words = tuple((place / VOCABULARY).read_text(encoding="utf-8").split())
    n, width = (int(v) for v in arrays["shape"])
    if len(words) != width or arrays["y"].shape != (n,) or arrays["indptr"].shape != (n + 1,):
        raise BadInput(f"{str(place)!r} holds {n} rows of {width} words, but {len(words)} words and other labels")
    rows = torch.repeat_interleave(torch.arange(n), arrays["indptr"].diff().long())
    x = torch.zeros(n, width)
    x[rows, arrays["indices"].long()] = arrays["data"].float()
    return x, arrays["y"].long(), words
