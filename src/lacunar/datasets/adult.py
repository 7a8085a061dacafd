"""Census income, from local files."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from lacunar.core.errors import BadInput
from lacunar.data.data_set import DataSource, Splits
from lacunar.datasets._files import located, read_csv
from lacunar.datasets._splits import columns_named, numbered, splits

FOLDERS = ("adult",)
FILES = ("adult-train.csv.gz", "adult-test.csv.gz")
MISSING = "?"

NUMBERS: dict[str, Callable[[float], float]] = {
    "age": lambda v: v / 100,
    "fnlwgt": lambda v: v / 1e6,
    "education-num": lambda v: v / 16,
    "capital-gain": lambda v: math.log1p(v) / math.log(1e5),
    "capital-loss": lambda v: math.log1p(v) / math.log(1e5),
    "hours-per-week": lambda v: v / 100,
}
CATEGORIES: dict[str, tuple[str, ...]] = {
    name: tuple(values.split())
    for name, values in {
        "workclass": "Private Self-emp-not-inc Self-emp-inc Federal-gov Local-gov State-gov Without-pay Never-worked",
        "education": """
            Bachelors Some-college 11th HS-grad Prof-school Assoc-acdm Assoc-voc 9th 7th-8th 12th Masters 1st-4th 10th
            Doctorate 5th-6th Preschool""",
        "marital-status": """
            Married-civ-spouse Divorced Never-married Separated Widowed Married-spouse-absent Married-AF-spouse""",
        "occupation": """
            Tech-support Craft-repair Other-service Sales Exec-managerial Prof-specialty Handlers-cleaners
            Machine-op-inspct Adm-clerical Farming-fishing Transport-moving Priv-house-serv Protective-serv
            Armed-Forces""",
        "relationship": "Wife Own-child Husband Not-in-family Other-relative Unmarried",
        "race": "White Asian-Pac-Islander Amer-Indian-Eskimo Other Black",
        "sex": "Female Male",
        "native-country": """
            United-States Cambodia England Puerto-Rico Canada Germany Outlying-US(Guam-USVI-etc) India Japan Greece
            South China Cuba Iran Honduras Philippines Italy Poland Jamaica Vietnam Mexico Portugal Ireland France
            Dominican-Republic Laos Ecuador Taiwan Haiti Columbia Hungary Guatemala Nicaragua Scotland Thailand
            Yugoslavia El-Salvador Trinadad&Tobago Peru Hong Holand-Netherlands""",
    }.items()
}
FEATURES = (*NUMBERS, *(f"{name}={value}" for name, values in CATEGORIES.items() for value in values))
CLASSES = ("<=50K", ">50K")


@dataclass(frozen=True)
class Adult(DataSource):
    """32,561 + 16,281 people in the official split, 105 columns, two classes: income above 50,000 dollars a year.

    Read from ``adult-train.csv.gz`` and ``adult-test.csv.gz`` (Kohavi 1996, UCI). Six numbers come first, scaled by
    constants (age and hours by 100, education-num by 16, fnlwgt by a million, gains and losses as ln(1 + v) / ln 1e5);
    then one column per category of the data set's own description, 1 where it holds. A missing value is 0 in its whole
    group. Nothing is fitted to the data, so preparation keeps no trace of an example.

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
        place = located("Adult", self.folder, FOLDERS, FILES)
        (x_train, y_train), (x_test, y_test) = (_read(place / name) for name in FILES)
        return splits(
            numbered(x_train, y_train),
            numbered(x_test, y_test, first_id=len(y_train)),
            n_train=self.n_train,
            n_test=self.n_test,
            validation=self.validation,
            tuning=self.tuning,
            seed=self.seed,
            classes=CLASSES,
        )

    def columns(self, *names: str) -> tuple[int, ...]:
        """The positions of columns, by name: a number ("age"), a category ("race=Black") or all of a group ("race").

        Raises:
            BadInput: a name that no column has.
        """
        groups = [[f for f in FEATURES if f.startswith(f"{name}=")] or [name] for name in names]
        return columns_named(FEATURES, [name for group in groups for name in group])


@cache
def _read(path: Path) -> tuple[Tensor, Tensor]:
    *features, income = zip(*read_csv(path, (*NUMBERS, *CATEGORIES, "income")), strict=True)
    columns = dict(zip((*NUMBERS, *CATEGORIES), features, strict=True))
    parts = []
    for name, values in columns.items():
        made = _numbers(path, name, values) if name in NUMBERS else _one_hot(path, name, values, CATEGORIES[name])
        parts.append(made)
    return torch.cat(parts, 1), _one_hot(path, "income", income, CLASSES).argmax(1)


def _numbers(path: Path, name: str, values: Sequence[str]) -> Tensor:
    try:
        return torch.tensor([[NUMBERS[name](float(v))] for v in values])
    except ValueError as error:
        raise BadInput(f"{str(path)!r} has a {name} that is no number ({error}); fetch it again") from error


def _one_hot(path: Path, name: str, values: Sequence[str], known: Sequence[str]) -> Tensor:
    place = {value: i for i, value in enumerate(known)}
    if unknown := sorted({v for v in values if v not in place and (v != MISSING or name == "income")}):
        raise BadInput(f"{str(path)!r} has the unknown {name} {unknown[0]!r}; expected {', '.join(known)}")
    # The row behind the last stands for a missing value.
    return torch.eye(len(known) + 1)[torch.tensor([place.get(v, len(known)) for v in values]), : len(known)]
