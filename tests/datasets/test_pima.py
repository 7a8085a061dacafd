from __future__ import annotations

import pytest

from lacunar.catalog.registry import find
from lacunar.core.errors import BadInput
from lacunar.datasets.pima import FILE, LABEL, SCALES
from tests.datasets import toy

HEADER = ",".join([*SCALES, LABEL])


def test_it_divides_by_constants(tmp_path):
    rows = [f"{i},100,75,50,500,50.0,1.5,50,{i % 2}" for i in range(20)]
    toy.write_csv(tmp_path, FILE, [HEADER, *rows])
    splits = find("datasets", "pima", folder=str(tmp_path)).load()
    assert splits.train.x[0, 1:].tolist() == [0.5] * 7 and len(splits.train) == 16
    assert splits.train.x[:, 0].max() < 1 and splits.train.class_counts() == {0: 8, 1: 8}


def test_the_split_is_fixed_and_stratified(tmp_path):
    toy.write_csv(tmp_path, FILE, [HEADER, *(f"{i},1,1,1,1,1,1,1,{int(i < 20)}" for i in range(60))])
    one, other = (find("datasets", "pima", folder=str(tmp_path), seed=seed).load() for seed in (0, 1))
    assert one.test.class_counts() == {0: 8, 1: 4} and one.test.digest() == other.test.digest()
    assert one.test.ids.tolist() == list(range(48, 60))


def test_columns_have_names():
    assert find("datasets", "pima").columns("Age", "BMI") == (7, 5)


@pytest.mark.parametrize(
    ("write_it", "sentence"),
    [
        (lambda f: toy.write_csv(f, FILE, ["a,b", "1,2"]), "no column 'Pregnancies'"),
        (lambda f: toy.write_csv(f, FILE, [HEADER, "x" + 8 * ",0"]), "is no number"),
        (lambda f: toy.write_csv(f, FILE, [HEADER, "1,2"]), "cut short"),
    ],
)
def test_damaged_files_are_refused(write_it, sentence, tmp_path):
    write_it(tmp_path)
    with pytest.raises(BadInput, match=sentence):
        find("datasets", "pima", folder=str(tmp_path)).load()


def test_the_real_ones_have_the_known_sizes(data_folder):
    assert toy.sizes("pima", data_folder) == (614, 154)
