from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.data.ids import as_ids, ids_digest


@pytest.mark.parametrize(
    "given",
    [
        [3, 1, 2**53 + 1],
        (3, 1, 2**53 + 1),
        {3: "", 1: "", 2**53 + 1: ""},
        np.array([3, 1, 2**53 + 1], dtype=np.uint64),
        np.array([[3], [1], [2**53 + 1]]),
        torch.tensor([[3, 1, 2**53 + 1]]),
    ],
    ids=["list", "tuple", "keys", "unsigned", "column", "row"],
)
def test_whole_numbers_come_in_any_form_and_keep_order_and_value(given):
    found = as_ids(given)
    assert found.dtype == torch.int64 and found.tolist() == [3, 1, 2**53 + 1]


@pytest.mark.parametrize("given", [[2.0, -1.0], np.array([2.0, -1.0]), torch.tensor([2.0, -1.0])], ids=type)
def test_floats_that_are_whole_numbers_are_taken(given):
    assert as_ids(given).tolist() == [2, -1]


@pytest.mark.parametrize("given", [[], (), np.zeros(0), np.zeros(0, dtype=object), torch.zeros(0)])
def test_no_ids_are_no_ids(given):
    assert as_ids(given).tolist() == [] and as_ids(given).dtype == torch.int64


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([1, 2.5], "whole numbers, got 2.5"),
        ([1.0, float("nan")], "whole numbers, got nan"),
        (torch.tensor([0.5, 1.0]), "whole numbers, got 0.5"),
        (["a", "b"], "64 bits, got 'a', 'b'"),
        ([None], "64 bits, got None"),
        ([True, False], r"a mask of truth values; give mask.nonzero\(\), its positions"),
        (torch.tensor([True, False]), r"a mask of truth values; give mask.nonzero\(\), its positions"),
    ],
)
def test_anything_else_is_refused(given, sentence):
    with pytest.raises(BadInput, match=sentence):
        as_ids(given)


@pytest.mark.parametrize(
    "given", [np.array([3, 5], dtype=">i4"), torch.tensor([3, 5], dtype=torch.uint64), np.array([3, 5], dtype="g")[:0]]
)
def test_foreign_types(given):
    assert as_ids(given).tolist() == [3, 5][: len(given)]


def test_extremes_stay_exact():
    assert as_ids([2**63 - 1, -(2**63)]).tolist() == [2**63 - 1, -(2**63)]
    assert as_ids([2.0**53, 1]).tolist() == [2**53, 1]
    assert as_ids([]).tolist() == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (np.array([2**64 - 1], dtype=np.uint64), "ids are at most 9223372036854775807, .* got 18446744073709551615"),
        (torch.tensor([2**63], dtype=torch.uint64), "ids are at most 9223372036854775807"),
        ([2**63], "ids are at most 9223372036854775807"),
        ([2**70], "at most 64 bits, got 1180591620717411303424"),
        ([1e300], r"float64 are exact up to 9007199254740992, got 1e\+300; give them as whole numbers"),
        (torch.tensor([2.0**25]), "float32 are exact up to 16777216"),
        ([float("inf")], "must be whole numbers, got inf"),
        ([float("nan"), 1], "must be whole numbers, got nan"),
        (np.array([True]), r"a mask of truth values; give mask.nonzero\(\)"),
        (torch.tensor([1j]), "got complex numbers"),
        (np.array([1j]), "of type complex128"),
        (np.array([1], dtype=np.longdouble), "at most 64 bits"),
        (5, r"a list of whole numbers, got 5"),
        ([[1], [2, 3]], "a list of whole numbers"),
    ],
)
def test_what_would_become_another_id_is_refused(given, sentence):
    with pytest.raises(BadInput, match=sentence):
        as_ids(given)


def test_the_digest_is_one_that_a_colleague_can_compute():
    by_hand = hashlib.sha256(b"-4\n2\n10\n").hexdigest()
    assert ids_digest(torch.tensor([10, -4, 2])) == by_hand
    assert ids_digest(torch.tensor([10, -4])) != by_hand
