from __future__ import annotations

import dataclasses

import pytest
import torch

from lacunar.data.batches import Batch, move, rows

X = torch.arange(12).reshape(4, 3)


def test_a_batch_knows_its_size_and_cannot_be_changed():
    batch = Batch(X, torch.arange(4), torch.arange(4) + 7)
    assert len(batch) == 4 and (batch.progress, batch.epoch, batch.step) == (0.0, 0, 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch.y = batch.ids


@pytest.mark.parametrize("index", [torch.tensor([3, 0, 0]), torch.tensor([], dtype=torch.int64)], ids=["some", "none"])
def test_rows_are_taken_in_the_order_given_of_every_tensor(index):
    assert torch.equal(rows(X, index), X[index])
    taken = rows({"a": X, "b": X.float() + 1}, index)
    assert list(taken) == ["a", "b"] and torch.equal(taken["a"], X[index]) and torch.equal(taken["b"], X[index] + 1.0)


def test_every_tensor_moves():
    assert move(X, "meta").device.type == "meta"
    moved = move({"a": X, "b": X}, "meta")
    assert list(moved) == ["a", "b"] and {t.device.type for t in moved.values()} == {"meta"}
    assert move(X, "cpu") is X
