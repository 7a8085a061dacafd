import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from lacunar.core.errors import BadInput
from lacunar.data.examples import Examples
from lacunar.data.stream import Stream, load


class Pairs(Dataset):
    """A plain map-style data set."""

    def __init__(self, n=10, ids=None):
        self.x = torch.arange(n * 3, dtype=torch.float32).reshape(n, 3)
        self.reads = 0
        if ids is not None:
            self.ids = ids

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        self.reads += 1
        return self.x[i], int(i) % 2


class Tokens(Pairs):
    def __getitem__(self, i):
        return {"input_ids": [i, i + 1], "attention_mask": [1, 1], "labels": i % 2, "id": i}


def test_small_data_become_resident_and_big_data_are_streamed():
    assert isinstance(load(Pairs()), Examples)
    assert isinstance(load(Pairs(), resident_bytes=8), Stream)


def test_stream_and_examples_show_the_same_face():
    resident, streamed = load(Pairs()), load(Pairs(), resident_bytes=8)
    for a, b in zip(resident.batches(4, 2, seed=0), streamed.batches(4, 2, seed=0), strict=True):
        assert torch.equal(a.x, b.x) and torch.equal(a.y, b.y) and torch.equal(a.ids, b.ids)
        assert (a.progress, a.epoch, a.step) == (b.progress, b.epoch, b.step)
    for change in (lambda s: s.where([7, 2]), lambda s: s.without([0, 9]), lambda s: s.where([1]) + s.where([5, 3])):
        a, b = change(resident), change(streamed)
        assert torch.equal(next(a.batches(9)).x, next(b.batches(9)).x) and torch.equal(a.ids, b.ids)
    assert streamed.class_counts() == resident.class_counts() == {0: 5, 1: 5}
    relabelled = streamed.labelled(torch.ones(10, dtype=torch.int64))
    assert next(relabelled.batches(3)).y.tolist() == [1, 1, 1]


def test_a_stream_reads_only_what_a_batch_needs():
    data = Pairs()
    data.targets = [i % 2 for i in range(10)]
    streamed = load(data, resident_bytes=8)
    data.reads = 0
    list(streamed.where([1, 2, 3]).batches(2))
    assert data.reads == 3


def test_a_plain_loader_is_taken_and_another_iterable_is_asked_for_its_data_set():
    assert load(DataLoader(Pairs(4), batch_size=2, shuffle=True)).x.tolist() == load(Pairs(4)).x.tolist()

    class Wrapped:
        dataset = Pairs(4)

    with pytest.raises(BadInput, match=r"got Wrapped; give its \.dataset"):
        load(Wrapped())


def test_one_stored_label_in_the_middle_that_differs_is_enough():
    data = Pairs(1000)
    data.targets = [i % 2 for i in range(1000)]
    data.targets[100:140] = [7] * 40
    assert load(data, resident_bytes=8).y.tolist() == [i % 2 for i in range(1000)]


def test_stored_labels_that_differ_from_those_returned_are_not_used():
    data = Pairs()
    data.targets = [1 - i % 2 for i in range(10)]
    assert load(data, resident_bytes=8).y.tolist() == load(data).y.tolist() == [i % 2 for i in range(10)]


def test_ids_come_from_the_argument_then_the_data_set_then_positions():
    assert load(Pairs(4)).ids.tolist() == [0, 1, 2, 3]
    assert load(Pairs(4), first_id=100).ids.tolist() == [100, 101, 102, 103]
    assert load(Pairs(4, ids=[9, 8, 7, 6]), first_id=100).ids.tolist() == [9, 8, 7, 6]
    assert load(Pairs(4, ids=[9, 8, 7, 6]), ids=[1, 2, 3, 4]).ids.tolist() == [1, 2, 3, 4]
    assert load((np.zeros((3, 2)), [0, 1, 0]), first_id=5).ids.tolist() == [5, 6, 7]


def test_dict_items_tuples_and_pictures():
    tokens = load(Tokens(4))
    assert set(tokens.x) == {"input_ids", "attention_mask"} and tokens.y.tolist() == [0, 1, 0, 1]
    pictures = load([(Image.new("RGB", (5, 4), (1, 2, 3)), 0), (Image.new("RGB", (5, 4)), 1)])
    assert pictures.x.shape == (2, 3, 4, 5) and pictures.x.dtype == torch.uint8
    grey = load([(Image.new("L", (5, 4), 9), 0)])
    assert grey.x.shape == (1, 1, 4, 5)
    several = load([((torch.zeros(2), torch.ones(3)), 0)])
    assert {k: v.shape[1] for k, v in several.x.items()} == {"0": 2, "1": 3}


def test_a_source_is_returned_as_it_is(tiny):
    assert load(tiny) is tiny


class Random(Pairs):
    def __getitem__(self, i):
        return torch.rand(3), 0


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "the data set is empty"),
        (iter([1]), "a data set is a pair"),
        ([(torch.zeros(2), 0), (torch.zeros(3), 0)], "item 1 of the data set has another shape than item 0"),
        ([({"a": torch.zeros(2)}, 0), ({"b": torch.zeros(2)}, 0)], "item 1 of the data set has another shape"),
        ([("text", 0)], "inputs must be numbers, got str"),
        ([{"x": torch.zeros(1)}], "no label under labels / label / y"),
        ([5], r"items must be \(x, y\) or a dict"),
        (Random(), "item 0 of the data set differs between two readings"),
        ([(torch.zeros(2), 0)] * 3 + [(torch.tensor([0, float("nan")]), 0)], "NaN or infinity at positions 3"),
    ],
)
def test_bad_data_sets_get_a_sentence(data, sentence):
    with pytest.raises(BadInput, match=sentence):
        load(data)


def test_stream_checks_its_parts():
    with pytest.raises(BadInput, match="ids repeat"):
        Stream(Pairs(2), torch.arange(2), torch.zeros(2), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(BadInput, match="do not fit together"):
        Stream(Pairs(2), torch.arange(2), torch.zeros(1), torch.arange(2))
