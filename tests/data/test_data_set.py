from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from lacunar.catalog import registry
from lacunar.core.errors import BadInput
from lacunar.data.data_set import DataSource, Splits
from lacunar.data.examples import Examples


@dataclass(frozen=True)
class SquareNumbers(DataSource):
    """A third party's data set."""

    n: int = 4

    def load(self) -> Splits:
        x = torch.arange(self.n).float()[:, None]
        made = Examples.of(x**2, torch.arange(self.n) % 2)
        return Splits(made, Examples.of(x**2, torch.arange(self.n) % 2, ids=torch.arange(self.n) + self.n))


def test_a_third_partys_data_set_is_a_value_with_settings():
    assert SquareNumbers(3) == SquareNumbers(3) != SquareNumbers(4)
    assert SquareNumbers.name() == "square_numbers" and SquareNumbers(3).spec()["settings"] == {"n": 3}
    assert registry.filled(SquareNumbers, "square_numbers", {"n": 6}).load().train.x[5].item() == 25
    with pytest.raises(BadInput, match="unknown setting of square_numbers 'm'"):
        registry.filled(SquareNumbers, "square_numbers", {"m": 6})


def test_parts_that_a_data_set_does_not_have_are_absent():
    splits = SquareNumbers().load()
    assert splits.validation is None and splits.normalize is None and splits.classes == () and splits.note == ""
    assert not bool(splits.train.has(splits.test.ids).any())


def test_a_data_set_without_load_cannot_be_made():
    class Nothing(DataSource):
        pass

    with pytest.raises(TypeError, match=r"abstract method '?load"):
        Nothing()
