import numpy as np
import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.data.examples import Examples
from lacunar.data.ids import as_ids
from lacunar.data.stream import load


def test_ids_select_in_the_order_given(tiny):
    chosen = tiny.where([25, 5, 115])
    assert chosen.ids.tolist() == [25, 5, 115]
    assert torch.equal(chosen.x, tiny.x[[2, 0, 11]])
    assert tiny.without([5, 25]).ids.tolist() == [15, *range(35, 116, 10)]


def test_unknown_ids_are_counted_and_the_first_ten_named(tiny):
    with pytest.raises(BadInput, match=r"12 of 13 ids are not in the data .*: 0, 1, 2, 3, 4, 6, .* \(12 in all\)"):
        tiny.where([5, 0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12])


@pytest.mark.parametrize("ids", [[1.5], ["a"], np.array([0.2])])
def test_ids_must_be_whole_numbers(ids):
    with pytest.raises(BadInput, match="whole numbers"):
        as_ids(ids)


def test_a_mask_is_no_list_of_ids():
    with pytest.raises(BadInput, match=r"a mask of truth values; give mask.nonzero\(\)"):
        as_ids(torch.tensor([True, False]))


def test_whole_floats_and_empty_lists_are_ids():
    assert as_ids([1.0, 2.0]).tolist() == [1, 2] and as_ids([]).dtype == torch.int64


def test_lengths_ids_and_values_are_checked():
    with pytest.raises(BadInput, match="differ in number"):
        Examples.of(torch.zeros(3, 2), torch.zeros(2))
    with pytest.raises(BadInput, match="ids repeat: 1"):
        Examples.of(torch.zeros(3, 2), torch.zeros(3), ids=[1, 1, 2])
    with pytest.raises(BadInput, match="NaN or infinity at positions 1"):
        Examples.of(torch.tensor([[0.0], [float("inf")]]), torch.zeros(2))
    with pytest.raises(BadInput, match="NaN or infinity"):
        Examples.of({"a": torch.tensor([[float("nan")]])}, torch.zeros(1))


@pytest.mark.parametrize("size", [1, 5, 12, 50])
def test_every_example_once_per_epoch_with_the_last_partial_batch(tiny, size):
    batches = list(tiny.batches(size, epochs=2, seed=0))
    for epoch in (0, 1):
        ids = torch.cat([b.ids for b in batches if b.epoch == epoch])
        assert sorted(ids.tolist()) == tiny.ids.tolist()
    assert [b.step for b in batches] == list(range(2 * tiny.steps(size)))
    assert [b.progress for b in batches] == [i / len(batches) for i in range(len(batches))]


def test_order_follows_the_seed_and_changes_by_epoch(tiny):
    def order(seed, epoch):
        return [i for b in tiny.batches(4, 2, seed) if b.epoch == epoch for i in b.ids.tolist()]

    assert order(0, 0) == order(0, 0) != order(0, 1) and order(0, 0) != order(1, 0)
    assert [i for b in tiny.batches(4) for i in b.ids.tolist()] == tiny.ids.tolist()


@pytest.mark.parametrize("start", [0, 1, 3, 4, 7])
def test_a_loop_can_go_on_from_any_step(tiny, start):
    everything = list(tiny.batches(5, 3, seed=2))
    rest = list(tiny.batches(5, 3, seed=2, start=start))
    assert [b.ids.tolist() for b in rest] == [b.ids.tolist() for b in everything[start:]]
    assert [b.step for b in rest] == [b.step for b in everything[start:]]


def test_left_out_ids_leave_all_others_in_place(tiny):
    absent = torch.tensor([5, 15, 25])
    for whole, without in zip(tiny.batches(4, 1, seed=1), tiny.batches(4, 1, seed=1, left_out=absent), strict=True):
        assert without.ids.tolist() == [i for i in whole.ids.tolist() if i not in absent]
        assert without.progress == whole.progress


def test_a_batch_that_loses_all_members_is_not_yielded(tiny):
    only = tiny.ids[tiny.ids != 55]
    assert [b.ids.tolist() for b in tiny.batches(4, 1, None, left_out=only)] == [[55]]


def test_joining_keeps_ids_and_refuses_mixed_inputs(tiny):
    assert (tiny.take(torch.arange(3)) + tiny.take(torch.arange(3, 6))).ids.tolist() == tiny.ids[:6].tolist()
    with pytest.raises(BadInput, match="a tensor with examples whose inputs are a dict"):
        _ = tiny + Examples.of({"a": torch.zeros(1, 4)}, torch.zeros(1), ids=[999])
    with pytest.raises(BadInput, match="ids repeat"):
        _ = tiny + tiny


def test_digest_sees_inputs_labels_and_ids(tiny):
    others = [
        Examples(tiny.x + 1, tiny.y, tiny.ids),
        tiny.labelled(tiny.y.flip(0)),
        Examples(tiny.x, tiny.y, tiny.ids + 1),
    ]
    assert len({tiny.digest(), *(o.digest() for o in others)}) == 4
    assert Examples(tiny.x.clone(), tiny.y, tiny.ids).digest() == tiny.digest()


def test_class_counts_are_for_classes_only(tiny):
    assert tiny.class_counts() == {0: 4, 1: 4, 2: 4}
    assert tiny.labelled(torch.rand(12)).class_counts() == {}


def test_empty_batches_are_refused(tiny):
    with pytest.raises(BadInput, match="at least one example"):
        next(tiny.batches(0))


@pytest.mark.parametrize("resident", [True, False])
def test_names_and_groups_stay_with_their_rows(resident):
    class Data:
        ids = ("ada", "bob", "cy", "dan")
        groups = (1, 2, 1, 3)

        def __len__(self):
            return 4

        def __getitem__(self, i):
            return torch.full((2,), float(i)), i

    data = load(Data(), first_id=10, resident_bytes=1 << 20 if resident else 1)
    assert isinstance(data, Examples) == resident
    assert data.ids_of(["cy", "ada"]).tolist() == [12, 10] and data.ids_of([11]).tolist() == [11]
    assert data.members(["1", 3, 1]).tolist() == [10, 12, 13]
    for part in (data.take(torch.tensor([3, 2])), data.without([10, 11]), data.where([13]) + data.where([12])):
        assert part.ids_of(["cy"]).tolist() == [12] and part.members([1]).tolist() == [12]
        with pytest.raises(BadInput, match="1 of 1 names are not in the data"):
            part.ids_of(["ada"])
    assert data.labelled(data.y + 1).to("cpu").members([2]).tolist() == [11]


def test_text_for_data_that_have_no_names_or_groups():
    data = Examples.of(torch.zeros(3, 1), torch.zeros(3))
    with pytest.raises(BadInput, match="the ids of these data are whole numbers, got 'ada'"):
        data.ids_of(["ada"])
    with pytest.raises(BadInput, match="the examples belong to no groups"):
        data.members(["u1"])


def test_joining_with_rows_that_have_no_names_gives_none():
    named = Examples.of(torch.zeros(2, 1), torch.zeros(2), ["a", "b"], groups=[1, 1])
    both = named + Examples.of(torch.zeros(1, 1), torch.zeros(1), [7])
    assert both.names is None and both.groups is None


@pytest.mark.parametrize(("size", "sizes"), [(3, [3, 3, 4]), (9, [10]), (4, [4, 4, 2]), (10, [10]), (1, [1] * 10)])
def test_a_last_batch_of_one_joins_its_predecessor(tiny, size, sizes):
    # BatchNorm cannot normalise a single example.
    ten = tiny.take(torch.arange(10))
    batches = list(ten.batches(size, epochs=2, seed=0))
    assert [len(b) for b in batches] == sizes * 2 and ten.steps(size) == len(sizes)
    assert [b.step for b in batches] == list(range(2 * len(sizes)))
    assert sorted(i for b in batches if b.epoch == 1 for i in b.ids.tolist()) == ten.ids.tolist()
    rest = list(ten.batches(size, epochs=2, seed=0, start=1))
    assert [b.ids.tolist() for b in rest] == [b.ids.tolist() for b in batches[1:]]


def test_a_single_example_is_a_batch(tiny):
    assert [len(b) for b in tiny.take(torch.arange(1)).batches(4)] == [1]
