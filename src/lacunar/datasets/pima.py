"""Diabetes in Pima Indian women, from a local file: small, so that every experiment takes seconds."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lacunar.core.errors import BadInput
from lacunar.data.data_set import DataSource, Splits
from lacunar.datasets._files import located, read_csv
from lacunar.datasets._splits import columns_named, numbered, splits, stratified

FOLDERS = ("pima-diabetes",)
FILE = "diabetes.csv"
LABEL = "Outcome"
SCALES = {
    "Pregnancies": 20.0,
    "Glucose": 200.0,
    "BloodPressure": 150.0,
    "SkinThickness": 100.0,
    "Insulin": 1000.0,
    "BMI": 100.0,
    "DiabetesPedigreeFunction": 3.0,
    "Age": 100.0,
}
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Pima(DataSource):
    """768 women, 8 columns, two classes: 614 for training and 154 for testing, in a fixed stratified split.

    Read from ``diabetes.csv`` (National Institute of Diabetes and Digestive and Kidney Diseases, 1990). Columns are
    divided by constants, nothing is fitted to the data. A 0 in Glucose, BloodPressure, SkinThickness, Insulin or BMI
    stands for a missing value and stays 0.

    Attributes:
        n_train, n_test: None for all; else class-balanced subsets, the first ones of each class, in stored order.
        validation, tuning: shares of the training subset to hold out for the judge and for methods, stratified.
        seed: of these two parts only.
        folder: where the file is; None for the folder that the environment variable LACUNAR_DATA names.
    """

    n_train: int | None = None
    n_test: int | None = None
    validation: float = 0.0
    seed: int = 0
    folder: str | None = None
    tuning: float = 0.0

    def load(self) -> Splits:
        path = located("Pima diabetes", self.folder, FOLDERS, (FILE,)) / FILE
        try:
            values = torch.tensor([[float(v) for v in row] for row in read_csv(path, (*SCALES, LABEL))])
        except ValueError as error:
            raise BadInput(f"{str(path)!r} holds a value that is no number ({error}); fetch it again") from error
        x, y = values[:, :-1] / torch.tensor(list(SCALES.values())), values[:, -1].long()
        test, train = stratified(y, 0, test=TEST_SHARE)
        return splits(
            numbered(x[train], y[train]),
            numbered(x[test], y[test], first_id=len(train)),
            n_train=self.n_train,
            n_test=self.n_test,
            validation=self.validation,
            tuning=self.tuning,
            seed=self.seed,
            classes=("no diabetes", "diabetes"),
        )

    def columns(self, *names: str) -> tuple[int, ...]:
        """The positions of columns, by name.

        Raises:
            BadInput: a name that no column has.
        """
        return columns_named(tuple(SCALES), names)
