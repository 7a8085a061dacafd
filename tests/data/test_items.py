import numpy as np
import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.data.items import collate, identical, label_of, read_item


class Holes:
    """A data set whose second item is broken."""

    def __getitem__(self, i):
        if i == 1:
            raise OSError("image file is truncated")
        return torch.zeros(2), i


def test_an_item_that_cannot_be_read_is_named():
    assert read_item(Holes(), 2)[1].item() == 2
    with pytest.raises(BadInput, match=r"item 1 of the data set cannot be read \(OSError: image file is truncated\)"):
        read_item(Holes(), 1)


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        ((torch.zeros(3, 2), 1, 0), r"got a tuple of 3 \(Tensor \[3, 2\], int, int\); return \(x, y\) alone.* as ids="),
        ([torch.zeros(2)], r"got a list of 1 \(Tensor \[2\]\)$"),
        (None, "got NoneType"),
        ({"x": 1, "target": 0}, "items are dicts with keys x, target, but no label under labels / label / y"),
        ((torch.zeros(2), "cat"), "labels must be numbers, got 'cat'; number the classes 0, 1, 2"),
        ((torch.zeros(2), None), "labels must be numbers, got None"),
    ],
)
def test_what_was_got_is_named_with_the_number_of_the_item(item, sentence):
    with pytest.raises(BadInput, match="item 0 of the data set: .*" + sentence):
        read_item([item], 0)


def test_labels_keep_their_precision():
    assert label_of(0.1).dtype == torch.float64
    assert label_of(np.float32(0.1)).dtype == torch.float32
    assert label_of([1, 0]).tolist() == [1, 0]


def test_only_inputs_of_one_form_make_a_batch():
    assert collate([torch.zeros(2), torch.ones(2)], [0, 1]).shape == (2, 2)
    for first, odd in (
        (torch.zeros(2), torch.zeros(3)),
        ({"a": torch.zeros(2)}, {"a": torch.zeros(2), "b": torch.zeros(2)}),
        ({"a": torch.zeros(2)}, torch.zeros(2)),
    ):
        with pytest.raises(BadInput, match="item 8 of the data set has another shape than item 4"):
            collate([first, odd], [4, 8])


def test_identical_means_the_same_bits():
    nan = torch.tensor([float("nan"), 1.0])
    assert identical(nan, nan.clone()) and identical({"a": nan}, {"a": nan.clone()})
    assert not identical(torch.tensor(0.0), torch.tensor(-0.0))
    assert not identical(torch.zeros(2), torch.zeros(2, dtype=torch.float64))
    assert not identical({"a": nan}, {"b": nan})
