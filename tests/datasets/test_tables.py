"""Adult, Pima, Enron and the short messages: layouts, column names, damaged and absent files."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from lacunar.catalog.registry import find
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.characters import text_of
from lacunar.datasets import adult, enron, pima, sms

PERSON = {
    "age": "39", "workclass": "State-gov", "fnlwgt": "77516", "education": "Bachelors", "education-num": "13",
    "marital-status": "Never-married", "occupation": "?", "relationship": "Wife", "race": "Black", "sex": "Female",
    "capital-gain": "0", "capital-loss": "99999", "hours-per-week": "40", "native-country": "Cuba", "income": "<=50K",
}  # fmt: skip


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch, tmp_path):
    """No data but what a test writes, and nothing remembered from another test."""
    monkeypatch.delenv("LACUNAR_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for cached in (adult._read, enron._read, sms._read):
        cached.cache_clear()


def write(folder: Path, name: str, lines: list[str]) -> None:
    text = "\n".join(lines) + "\n"
    (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())


def write_adult(folder: Path, **changed: str) -> None:
    for name in adult.FILES:
        rows = [{**PERSON, **changed}, {**PERSON, "income": ">50K"}]
        write(folder, name, [",".join(PERSON), *(", ".join(row.values()) for row in rows)])


def write_enron(folder: Path, words: int = 5) -> None:
    n = 4000
    arrays = {
        "data": np.ones(n, np.float32), "indices": np.arange(n) % 5, "indptr": np.arange(n + 1),
        "shape": np.array([n, 5]), "y": np.arange(n) // 5 % 2,
    }  # fmt: skip
    np.savez(folder / enron.ARCHIVE, **arrays)
    write(folder, enron.VOCABULARY, ["adams", "and", "ann", "the", "to"][:words])


def test_adult_scales_numbers_and_marks_categories(tmp_path):
    write_adult(tmp_path)
    source = find("datasets", "adult", folder=str(tmp_path))
    splits = source.load()
    person = splits.train.x[0]
    assert len(person) == 105 and splits.train.y.tolist() == [0, 1]
    assert person[list(source.columns("age", "capital-loss"))].tolist() == pytest.approx([0.39, 1.0], abs=1e-4)
    ones = [adult.FEATURES[i] for i in (person[6:] == 1).nonzero().reshape(-1) + 6]
    assert ones == [
        "workclass=State-gov", "education=Bachelors", "marital-status=Never-married", "relationship=Wife",
        "race=Black", "sex=Female", "native-country=Cuba",
    ]  # fmt: skip
    assert not person[list(source.columns("occupation"))].any(), "a missing value is 0 in its whole group"
    assert splits.test.ids.tolist() == [2, 3]


def test_columns_have_names(tmp_path):
    write_enron(tmp_path)
    assert find("datasets", "enron", folder=str(tmp_path)).columns("the", "ann") == (3, 2)
    assert find("datasets", "pima").columns("Age", "BMI") == (7, 5)
    assert len(find("datasets", "adult").columns("race", "marital-status")) == 12
    with pytest.raises(BadInput, match="no column 'race=Blak'; there are race=Black"):
        find("datasets", "adult").columns("race=Blak")


def test_enron_puts_counts_where_they_belong(tmp_path):
    write_enron(tmp_path)
    splits = find("datasets", "enron", folder=str(tmp_path)).load()
    assert abs(len(splits.test) - enron.N_TEST) <= 1 and len(splits.train) + len(splits.test) == 4000
    everything = torch.cat([splits.train.x, splits.test.x])
    assert torch.equal(everything.sum(0), torch.full((5,), 800.0)) and torch.equal(everything.sum(1), torch.ones(4000))


def test_pima_divides_by_constants(tmp_path):
    rows = [f"{i},100,75,50,500,50.0,1.5,50,{i % 2}" for i in range(20)]
    write(tmp_path, pima.FILE, [",".join([*pima.SCALES, pima.LABEL]), *rows])
    splits = find("datasets", "pima", folder=str(tmp_path)).load()
    assert splits.train.x[0, 1:].tolist() == [0.5] * 7 and len(splits.train) == 16
    assert splits.train.x[:, 0].max() < 1 and splits.train.class_counts() == {0: 8, 1: 8}


def test_messages_become_next_character_examples(tmp_path):
    write(tmp_path, sms.FILE, ["label,text", *(f'ham,"Hello, No {i}"' for i in range(10))])
    source = {"folder": str(tmp_path), "length": 8}
    splits = find("datasets", "sms", **source, validation=0.25).load()
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (6, 2, 2)
    assert {text_of(y) for y in splits.train.y} == {"hello, n"} and splits.test.ids.tolist() == [8, 9]
    both = find("datasets", "sms", **source, validation=0.25, tuning=0.25).load()
    assert both.validation.digest() == splits.validation.digest() and splits.tuning is None
    assert sorted([*both.train.ids.tolist(), *both.tuning.ids.tolist()]) == splits.train.ids.tolist()
    assert text_of(find("datasets", "sms", **source, lower=False, n_train=3).load().train.y[2]) == "Hello, N"
    assert len(find("datasets", "sms", **source, n_test=1).load().test) == 1
    with pytest.raises(BadInput, match="n_train must be 1 to 8"):
        find("datasets", "sms", **source, n_train=9).load()


@pytest.mark.parametrize(
    ("write_it", "name", "sentence"),
    [
        (lambda f: write_adult(f, race="Green"), "adult", "unknown race 'Green'; expected White"),
        (lambda f: write_adult(f, income="?"), "adult", r"unknown income '\?'"),
        (lambda f: write_adult(f, age="old"), "adult", "an? age that is no number"),
        (lambda f: write_enron(f, words=4), "enron", "but 4 words"),
        (lambda f: write(f, pima.FILE, ["a,b", "1,2"]), "pima", "no column 'Pregnancies'"),
        (lambda f: write(f, pima.FILE, [",".join([*pima.SCALES, pima.LABEL]), "x" + 8 * ",0"]), "pima", "is no number"),
        (lambda f: write(f, pima.FILE, [",".join([*pima.SCALES, pima.LABEL]), "1,2"]), "pima", "cut short"),
        (lambda f: (f / sms.FILE).write_bytes(b"not gzip"), "sms", "cannot be read as a CSV"),
        (lambda f: write(f, sms.FILE, ["label,text"]), "sms", "has no rows"),
    ],
)
def test_damaged_files_are_refused(write_it, name, sentence, tmp_path):
    write_it(tmp_path)
    with pytest.raises(BadInput, match=sentence):
        find("datasets", name, folder=str(tmp_path)).load()


@pytest.mark.parametrize(
    "settings", [{"length": 1}, {"validation": 1.0}, {"tuning": -0.5}, {"validation": 0.5, "tuning": 0.5}]
)
def test_settings_that_cannot_be(settings):
    with pytest.raises(BadInput, match=next(iter(settings))):
        find("datasets", "sms", **settings)


@pytest.mark.parametrize("name", ["adult", "pima", "enron", "sms"])
def test_absent_files_say_where_they_were_looked_for(name, tmp_path):
    with pytest.raises(NotApplicable, match=f"looked for .* in {tmp_path}; set folder= or LACUNAR_DATA to the folder"):
        find("datasets", name, folder=str(tmp_path)).load()


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        pytest.param("adult", (32561, 16281), marks=pytest.mark.slow),
        ("pima", (614, 154)),
        ("enron", (5000, 1744)),
        ("sms", (4459, 1115)),
    ],
)
def test_the_real_tables_have_the_known_sizes(name, sizes, data_folder, monkeypatch):
    monkeypatch.setenv("LACUNAR_DATA", str(data_folder))
    splits = find("datasets", name).load()
    assert (len(splits.train), len(splits.test)) == sizes
