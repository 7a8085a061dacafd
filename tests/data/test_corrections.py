"""Edits keep ids and untouched rows, and say what was touched; problems made from corrected rows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lacunar.core.errors import BadInput
from lacunar.data import corrections
from lacunar.data.examples import Examples
from lacunar.data.stream import Stream
from lacunar.unlearning.problem import Problem


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 3)


def table() -> Examples:
    """Six rows of which only ids 10, 30 and 40 have an entry in column 1."""
    x = torch.arange(1.0, 19.0).reshape(6, 3)
    x[[0, 3, 5], 1] = 0
    return Examples.of(x, torch.tensor([0, 1, 2, 0, 1, 2]), ids=torch.arange(6) * 10)


def test_zeroed_columns_touch_only_rows_that_had_an_entry():
    before = table()
    after = corrections.zero_features(before, [1])
    assert not after.x[:, 1].any() and torch.equal(after.x[:, [0, 2]], before.x[:, [0, 2]])
    assert corrections.differing(before, after).tolist() == [10, 20, 40]
    assert before.x[1, 1] == 5, "the given examples are left as they are"


def test_pixels_are_positions_in_the_flattened_image():
    images = Examples.of(torch.full((2, 1, 2, 2), 9, dtype=torch.uint8), torch.tensor([0, 1]))
    assert corrections.zero_features(images, [3]).x[0, 0].tolist() == [[9, 9], [9, 0]]


def test_edits_follow_one_another_and_keep_ids():
    before = table()
    after = corrections.relabel(corrections.zero_features(corrections.remove(before, [0]), [1]), {50: 0, 10: 2})
    after = corrections.replace(after, {30: torch.tensor([7, 7, 7])})
    assert after.ids.tolist() == [10, 20, 30, 40, 50]
    assert after.y.tolist() == [2, 2, 0, 1, 0] and after.x[2].tolist() == [7, 7, 7]
    assert corrections.differing(before, after).tolist() == [10, 20, 30, 40, 50]
    assert not corrections.same_inputs(before, after)
    assert corrections.same_inputs(before, corrections.relabel(before, {0: 1}))


def test_dicts_are_replaced_and_compared_part_by_part():
    before = Examples.of({"a": torch.zeros(3, 2), "b": torch.ones(3)}, torch.zeros(3, dtype=torch.int64))
    after = corrections.replace(before, {2: {"a": torch.tensor([0.0, 5.0]), "b": torch.tensor(1.0)}})
    assert after.x["a"][2].tolist() == [0, 5] and corrections.differing(before, after).tolist() == [2]


def test_a_stream_with_other_labels_is_compared_without_reading_it():
    class Unreadable(torch.utils.data.Dataset):
        def __getitem__(self, index):
            raise AssertionError("read")

    stream = Stream(Unreadable(), torch.arange(4), torch.tensor([0, 1, 0, 1]), torch.arange(4))
    assert corrections.differing(stream, corrections.relabel(stream, {3: 0})).tolist() == [3]


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda e: corrections.zero_features(e, [3]), "3 are not columns; an input has 3"),
        (lambda e: corrections.zero_features(e, [-1]), "-1 are not columns"),
        (lambda e: corrections.zero_features(e, [2, 0, 2]), "the list of columns repeats 2"),
        (lambda e: corrections.zero_features(e, []), "nothing to change: no columns"),
        (
            lambda e: corrections.zero_features(corrections.zero_features(e, [1]), [1]),
            "nothing to change: 1 columns are 0 in all 6",
        ),
        (lambda e: corrections.relabel(e, {}), "nothing to change: no id"),
        (lambda e: corrections.relabel(e, {5: 0}), "1 of 1 ids are not in the data"),
        (lambda e: corrections.relabel(e, {0: 0, 10: 1}), "nothing to change: the 2 examples have these labels"),
        (lambda e: corrections.relabel(e, {0: 0.5}), "a label here is .*int64"),
        (lambda e: corrections.replace(e, {7: torch.zeros(3)}), "ids are not in the data"),
        (lambda e: corrections.replace(e, {0: torch.zeros(2)}), r"shape \(3,\), but \(2,\)"),
        (lambda e: corrections.replace(e, {10: e.x[1]}), "nothing to change: the 1 examples have these inputs"),
        (lambda e: corrections.remove(e, [0, 10, 0]), "the list of ids repeats 0"),
        (lambda e: corrections.remove(e, [99]), "ids are not in the data"),
        (lambda e: corrections.differing(e, Examples.of(torch.zeros(1, 2), [0], ids=[10])), "shape of the original"),
        (lambda e: corrections.differing(e, Examples.of({"a": torch.zeros(1)}, [0], ids=[10])), "other parts"),
        (
            lambda e: corrections.zero_features(Examples.of({"a": torch.zeros(1)}, [0]), [0]),
            "a dict of tensors, which has no columns",
        ),
    ],
)
def test_bad_edits(edit, sentence):
    with pytest.raises(BadInput, match=sentence):
        edit(table())


def test_a_problem_forgets_the_rows_that_differ(tiny):
    edited = corrections.relabel(tiny, {5: 2, 45: 0})
    problem = Problem.of(linear(), tiny, corrected=edited, device="cpu")
    assert problem.forget.ids.tolist() == [5, 45] and problem.forget.y.tolist() == [0, 1]
    assert problem.corrected.ids.tolist() == [5, 45] and problem.corrected.y.tolist() == [2, 0]
    assert len(problem.retain) == 10
    assert sorted(problem.edited.ids.tolist()) == tiny.ids.tolist()


def test_a_problem_takes_the_corrected_rows_alone_and_ids_without_a_row_are_deleted(tiny):
    rows = corrections.relabel(tiny, {5: 2}).where([5])
    problem = Problem.of(linear(), tiny, [15], corrected=rows, device="cpu")
    assert problem.forget.ids.tolist() == [15, 5] and problem.corrected.ids.tolist() == [5]
    assert 15 not in problem.edited.ids.tolist() and len(problem.edited) == 11


def test_every_row_may_be_corrected(tiny):
    problem = Problem.of(linear(), tiny, corrected=corrections.zero_features(tiny, [0]), device="cpu")
    assert len(problem.retain) == 0 and len(problem.edited) == 12 and problem.notes == ()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (lambda e: {}, "there is nothing to forget: give ids"),
        (lambda e: {"corrected": e}, "no ids to forget: every corrected row equals"),
        (lambda e: {"corrected": Examples.of(e.x[:1], e.y[:1], ids=[1])}, "ids are not in the data"),
        (
            lambda e: {"corrected": Stream([], torch.zeros(0), torch.zeros(0), torch.zeros(0, dtype=torch.int64))},
            "of the same kind as the training set, got Stream for Examples",
        ),
        (lambda e: {"corrected": corrections.relabel(e, {5: 3})}, "labels run from 0 to 3, but the model has 3"),
    ],
)
def test_problems_that_cannot_be(tiny, more, sentence):
    with pytest.raises(BadInput, match=sentence):
        Problem.of(linear(), tiny, device="cpu", **more(tiny))
