from __future__ import annotations

import pytest

from lacunar.catalog.registry import find
from lacunar.core.errors import BadInput
from lacunar.data.characters import text_of
from lacunar.datasets.sms import FILE
from tests.datasets import toy


def test_messages_become_next_character_examples(tmp_path):
    toy.write_csv(tmp_path, FILE, ["label,text", *(f'ham,"Hello, No {i}"' for i in range(10))])
    source = {"folder": str(tmp_path), "length": 8}
    splits = find("datasets", "sms", **source, validation=0.25).load()
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (6, 2, 2)
    both = find("datasets", "sms", **source, validation=0.25, tuning=0.25).load()
    assert both.validation.digest() == splits.validation.digest() and splits.tuning is None
    assert sorted([*both.train.ids.tolist(), *both.tuning.ids.tolist()]) == splits.train.ids.tolist()
    assert {text_of(y) for y in splits.train.y} == {"hello, n"} and splits.test.ids.tolist() == [8, 9]
    assert text_of(find("datasets", "sms", **source, lower=False, n_train=3).load().train.y[2]) == "Hello, N"
    assert len(find("datasets", "sms", **source, n_test=1).load().test) == 1
    with pytest.raises(BadInput, match="n_train must be 1 to 8"):
        find("datasets", "sms", **source, n_train=9).load()


@pytest.mark.parametrize(
    ("write_it", "sentence"),
    [
        (lambda f: (f / FILE).write_bytes(b"not gzip"), "cannot be read as a CSV"),
        (lambda f: toy.write_csv(f, FILE, ["label,text"]), "has no rows"),
    ],
)
def test_damaged_files_are_refused(write_it, sentence, tmp_path):
    write_it(tmp_path)
    with pytest.raises(BadInput, match=sentence):
        find("datasets", "sms", folder=str(tmp_path)).load()


@pytest.mark.parametrize(
    "settings", [{"length": 1}, {"validation": 1.0}, {"tuning": -0.5}, {"validation": 0.5, "tuning": 0.5}]
)
def test_settings_that_cannot_be(settings):
    with pytest.raises(BadInput, match=next(iter(settings))):
        find("datasets", "sms", **settings)


def test_the_real_ones_have_the_known_sizes(data_folder):
    assert toy.sizes("sms", data_folder) == (4459, 1115)
