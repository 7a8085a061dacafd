import uuid

import numpy as np
import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.data.keys import Keys, check_known_apart, is_text, numbered

ONE = uuid.UUID(int=1)


def test_text_uuids_and_whole_numbers_become_text():
    assert Keys.of(["a ", ONE, 3, 4.0, np.int64(5), np.str_("b")]).values.tolist() == [
        "a",
        str(ONE),
        "3",
        "4",
        "5",
        "b",
    ]
    assert Keys.of(torch.tensor([3, 5])).values.tolist() == ["3", "5"]
    assert len(Keys.of([])) == 0


@pytest.mark.parametrize("value", [None, "", " ", 1.5, True, b"a", ["a"]])
def test_other_values_are_named_with_their_position(value):
    with pytest.raises(BadInput, match=r"a key is text, a UUID or a whole number, got .* at position 1"):
        Keys.of(["a", value])


def test_rows_of_keys():
    keys = Keys.of(["b", "a", "b", "c"])
    assert keys.positions(["c", "b"]).tolist() == [3, 0, 2]
    assert keys.positions([]).tolist() == []
    assert keys.has(["a", "z"]) == [True, False]
    assert keys.distinct() == 3 and keys.repeated() == ["b"]
    with pytest.raises(BadInput, match=r"1 of 2 people are not in the data \(which has 3\): 'z'; give them as"):
        keys.positions(["a", "z"], "people")


def test_taking_and_joining():
    keys = Keys.of(["b", "a", "longer"])
    assert keys.take(torch.tensor([2, 0])).values.tolist() == ["longer", "b"]
    assert (Keys.of(["b"]) + keys).values.tolist() == ["b", "b", "a", "longer"]


def test_what_is_text():
    assert is_text(["a"]) and is_text([ONE]) and is_text(np.array(["a"])) and is_text(np.array([ONE], dtype=object))
    for other in ([1], [], np.array([1]), torch.tensor([1]), "abc", None, 5):
        assert not is_text(other)


def test_ids_that_are_text_become_names_of_numbered_examples():
    ids, names = numbered(["x", "y"], 2, 10)
    assert ids.tolist() == [10, 11] and names is not None and names.values.tolist() == ["x", "y"]
    assert numbered(None, 3, 5)[0].tolist() == [5, 6, 7] and numbered([4, 2], 2)[1] is None


@pytest.mark.parametrize(
    ("ids", "names", "groups", "sentence"),
    [
        ([1, 1], None, None, "ids repeat: 1; give each example its own id"),
        ([1, 2], ["a", "a"], None, "names repeat: 'a'; give each its own, or give them as groups"),
        ([1, 2], ["a"], None, "there are 1 names for 2 examples"),
        ([1, 2], None, ["a"], "there are 1 groups for 2 examples"),
    ],
)
def test_what_cannot_be_told_apart(ids, names, groups, sentence):
    keys = [None if given is None else Keys.of(given) for given in (names, groups)]
    with pytest.raises(BadInput, match=sentence):
        check_known_apart(torch.tensor(ids), *keys)
