"""Short messages as text for next-character models, from a local file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from lacunar.core.errors import BadInput
from lacunar.core.rng import generator_of
from lacunar.data.characters import example_of
from lacunar.data.data_set import DataSource, Splits
from lacunar.data.examples import Examples
from lacunar.datasets._files import located, read_csv
from lacunar.datasets._splits import check_share

FOLDERS = ("sms-spam",)
FILE = "sms.csv.gz"
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Sms(DataSource):
    """5,574 short messages (Almeida, Gomez Hidalgo, Yamakami 2011): one message is one next-character example.

    Read from ``sms.csv.gz``, column text. Inputs and labels are codes of :mod:`lacunar.data.characters`,
    ``[n, length]``: each position is asked for the next character, and positions behind the end of a message do not
    count. A fifth of the messages, in a fixed draw, is for testing. Messages hold real phone numbers: quote none.

    Attributes:
        length: characters of a message that are kept.
        lower: turn capitals into small letters.
        n_train, n_test: None for all; else the first ones.
        validation, tuning: shares of the training subset to hold out for the judge and for methods.
        seed: of these two parts only.
        folder: where the file is; None for the folder that the environment variable LACUNAR_DATA names.
    """

    length: int = 96
    lower: bool = True
    n_train: int | None = None
    n_test: int | None = None
    validation: float = 0.0
    seed: int = 0
    folder: str | None = None
    tuning: float = 0.0

    def __post_init__(self) -> None:
        if self.length < 2:
            raise BadInput(f"length is the number of characters of a message, at least 2, got {self.length}")
        check_share("validation", self.validation)
        check_share("tuning", self.tuning)
        if not self.validation + self.tuning < 1:
            raise BadInput(f"validation={self.validation} and tuning={self.tuning} leave nothing to train on")

    def load(self) -> Splits:
        texts = _read(located("SMS spam", self.folder, FOLDERS, (FILE,)) / FILE)
        made = [example_of(text.lower() if self.lower else text, self.length) for text in texts]
        x, y = torch.stack([a for a, _ in made]), torch.stack([b for _, b in made])
        held = round(TEST_SHARE * len(texts))
        order = torch.randperm(len(texts), generator=generator_of(0, "split"))
        test, train = order[:held].sort().values, order[held:].sort().values
        whole = Examples.of(x[train], y[train])
        kept = whole.take(_first(len(train), self.n_train, "n_train"))
        draw = torch.randperm(len(kept), generator=generator_of(self.seed, "validation"))
        cuts = [round(share * len(kept)) for share in (self.validation, self.tuning)]
        validation, tuning, left = torch.split(draw, [*cuts, len(kept) - sum(cuts)])
        return Splits(
            kept.take(left.sort().values),
            Examples.of(x[test], y[test], torch.arange(len(train), len(texts))).take(
                _first(len(test), self.n_test, "n_test")
            ),
            validation=kept.take(validation.sort().values) if len(validation) else None,
            tuning=kept.take(tuning.sort().values) if len(tuning) else None,
        )


def _first(n: int, wanted: int | None, setting: str) -> Tensor:
    if wanted is not None and not 0 < wanted <= n:
        raise BadInput(f"{setting} must be 1 to {n}, or None for all, got {wanted}")
    return torch.arange(n if wanted is None else wanted)


@cache
def _read(path: Path) -> tuple[str, ...]:
    return tuple(text for (text,) in read_csv(path, ("text",)))
