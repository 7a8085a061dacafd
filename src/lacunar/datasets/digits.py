"""The handwritten digits that come with scikit-learn: always there, small, real."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits

from lacunar.data.data_set import DataSource, Splits
from lacunar.datasets._splits import numbered, splits, stratified

TEST_SHARE = 0.2


@dataclass(frozen=True)
class Digits(DataSource):
    """1,797 images of 8x8 pixels in ten classes: 1,438 for training and 359 for testing, in a fixed stratified split.

    Images are uint8 ``[n, 1, 8, 8]``; the 17 grey levels 0, ..., 16 of the source become round(255 / 16 * level).

    Attributes:
        n_train, n_test: None for all; else class-balanced subsets, the first ones of each class, in stored order.
        validation, tuning: shares of the training subset to hold out for the judge and for methods, stratified.
        seed: of these two parts only.
    """

    n_train: int | None = None
    n_test: int | None = None
    validation: float = 0.0
    seed: int = 0
    tuning: float = 0.0

    def load(self) -> Splits:
        source = load_digits()
        x = torch.tensor(source.images * (255 / 16)).round().to(torch.uint8)[:, None]
        y = torch.tensor(source.target)
        test, train = stratified(y, 0, test=TEST_SHARE)
        return splits(
            numbered(x[train], y[train]),
            numbered(x[test], y[test], first_id=len(train)),
            n_train=self.n_train,
            n_test=self.n_test,
            validation=self.validation,
            tuning=self.tuning,
            seed=self.seed,
            normalize=((0.305,), (0.376,)),
            classes=tuple(str(digit) for digit in range(10)),
        )
