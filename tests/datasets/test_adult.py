from __future__ import annotations

from pathlib import Path

import pytest

from lacunar.catalog.registry import find
from lacunar.core.errors import BadInput
from lacunar.datasets.adult import FEATURES, FILES
from tests.datasets import toy

PERSON = {
    "age": "39", "workclass": "State-gov", "fnlwgt": "77516", "education": "Bachelors", "education-num": "13",
    "marital-status": "Never-married", "occupation": "?", "relationship": "Wife", "race": "Black", "sex": "Female",
    "capital-gain": "0", "capital-loss": "99999", "hours-per-week": "40", "native-country": "Cuba", "income": "<=50K",
}  # fmt: skip


def write_adult(folder: Path, **changed: str) -> None:
    for name in FILES:
        rows = [{**PERSON, **changed}, {**PERSON, "income": ">50K"}]
        toy.write_csv(folder, name, [",".join(PERSON), *(", ".join(row.values()) for row in rows)])


def test_it_scales_numbers_and_marks_categories(tmp_path):
    write_adult(tmp_path)
    source = find("datasets", "adult", folder=str(tmp_path))
    splits = source.load()
    person = splits.train.x[0]
    assert len(person) == 105 and splits.train.y.tolist() == [0, 1]
    assert person[list(source.columns("age", "capital-loss"))].tolist() == pytest.approx([0.39, 1.0], abs=1e-4)
    ones = [FEATURES[i] for i in (person[6:] == 1).nonzero().reshape(-1) + 6]
    assert ones == [
        "workclass=State-gov", "education=Bachelors", "marital-status=Never-married", "relationship=Wife",
        "race=Black", "sex=Female", "native-country=Cuba",
    ]  # fmt: skip
    assert not person[list(source.columns("occupation"))].any(), "a missing value is 0 in its whole group"
    assert splits.test.ids.tolist() == [2, 3]


def test_columns_have_names_and_groups():
    adult = find("datasets", "adult")
    assert len(adult.columns("race", "marital-status")) == 12
    assert [FEATURES[i] for i in adult.columns("sex", "age")] == ["sex=Female", "sex=Male", "age"]
    with pytest.raises(BadInput, match="no column 'race=Blak'; there are race=Black"):
        adult.columns("race=Blak")


@pytest.mark.parametrize(
    ("write_it", "sentence"),
    [
        (lambda f: write_adult(f, race="Green"), "unknown race 'Green'; expected White"),
        (lambda f: write_adult(f, income="?"), r"unknown income '\?'"),
        (lambda f: write_adult(f, age="old"), "an? age that is no number"),
    ],
)
def test_damaged_files_are_refused(write_it, sentence, tmp_path):
    write_it(tmp_path)
    with pytest.raises(BadInput, match=sentence):
        find("datasets", "adult", folder=str(tmp_path)).load()


@pytest.mark.slow
def test_the_real_ones_have_the_known_sizes(data_folder):
    assert toy.sizes("adult", data_folder) == (32561, 16281)
