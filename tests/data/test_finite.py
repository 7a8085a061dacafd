import pytest
import torch

from lacunar.data.finite import CHUNK_BYTES, not_finite_rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.complex64])
def test_rows_with_nan_or_infinity(dtype):
    x = torch.zeros(5, 2, 3, dtype=dtype)
    x[1, 0, 2], x[4, 1, 0] = float("nan"), float("-inf")
    assert not_finite_rows(x) == [1, 4]


def test_whole_numbers_and_nothing():
    assert not_finite_rows(torch.zeros(3, dtype=torch.uint8)) == not_finite_rows(torch.zeros(0, 4)) == []


def test_positions_are_counted_over_all_pieces():
    x = torch.zeros(5, CHUNK_BYTES // 8)  # two rows to a piece
    x[[0, 3, 4], 0] = float("inf")
    assert not_finite_rows(x) == [0, 3, 4]
