from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lacunar.catalog.registry import find
from lacunar.core.errors import BadInput
from lacunar.datasets.enron import ARCHIVE, N_TEST, VOCABULARY
from tests.datasets import toy


def write_enron(folder: Path, words: int = 5) -> None:
    n = 4000
    arrays = {
        "data": np.ones(n, np.float32), "indices": np.arange(n) % 5, "indptr": np.arange(n + 1),
        "shape": np.array([n, 5]), "y": np.arange(n) // 5 % 2,
    }  # fmt: skip
    np.savez(folder / ARCHIVE, **arrays)
    toy.write_csv(folder, VOCABULARY, ["adams", "and", "ann", "the", "to"][:words])


def test_it_puts_counts_where_they_belong(tmp_path):
    write_enron(tmp_path)
    splits = find("datasets", "enron", folder=str(tmp_path)).load()
    assert abs(len(splits.test) - N_TEST) <= 1 and len(splits.train) + len(splits.test) == 4000
    everything = torch.cat([splits.train.x, splits.test.x])
    assert torch.equal(everything.sum(0), torch.full((5,), 800.0)) and torch.equal(everything.sum(1), torch.ones(4000))


def test_columns_are_words(tmp_path):
    write_enron(tmp_path)
    assert find("datasets", "enron", folder=str(tmp_path)).columns("the", "ann") == (3, 2)


@pytest.mark.parametrize(
    ("write_it", "sentence"),
    [
        (lambda f: write_enron(f, words=4), "but 4 words"),
    ],
)
def test_damaged_files_are_refused(write_it, sentence, tmp_path):
    write_it(tmp_path)
    with pytest.raises(BadInput, match=sentence):
        find("datasets", "enron", folder=str(tmp_path)).load()


def test_the_real_ones_have_the_known_sizes(data_folder):
    assert toy.sizes("enron", data_folder) == (5000, 1744)
