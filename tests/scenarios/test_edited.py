"""Scenarios with corrected rows: wrong labels, bad columns, secrets in texts."""

from __future__ import annotations

import pytest
import torch

from lacunar.catalog.registry import parse
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.rng import generator_of
from lacunar.data import corrections
from lacunar.data.characters import Template, example_of, text_of
from lacunar.data.examples import Examples
from lacunar.data.stream import Stream
from lacunar.unlearning.scenario import Posed


def pose(text: str, train: Examples, seed: int = 0) -> Posed:
    posed = parse("scenarios", text).pose(train, generator_of(seed, "scenario"))
    if posed.corrected is not None:
        assert torch.equal(posed.corrected.ids, posed.forget_ids)
        assert torch.equal(corrections.differing(posed.seen, posed.corrected), posed.forget_ids), (
            "every corrected row differs"
        )
    rest = posed.seen.without(posed.forget_ids)
    assert torch.equal(rest.x, train.without(posed.forget_ids).x), "other rows are seen as they are"
    return posed


def classes(counts: list[int]) -> Examples:
    y = torch.cat([torch.full((k,), c) for c, k in enumerate(counts)])
    g = torch.Generator().manual_seed(0)
    return Examples.of(torch.randn(len(y), 2, generator=g) + 5 * y[:, None], y, ids=torch.arange(len(y)) * 2 + 1)


@pytest.mark.parametrize(
    ("counts", "budget", "taken"),
    [
        ([10, 10, 10, 10], 8, [2, 2, 2, 2]),
        ([10, 10, 10, 10], 10, [3, 3, 2, 2]),  # a rest goes to the lowest labels
        ([10, 10, 10, 10, 10], 8, [2, 2, 0, 2, 2]),  # the middle class is its own pair
        ([2, 10, 10, 10], 14, [2, 4, 4, 4]),  # a small class gives what it has, the others more
        ([2, 10, 10, 10], 32, [2, 10, 10, 10]),
    ],
)
def test_pair_flips_are_exact(counts, budget, taken):
    train = classes(counts)
    posed = pose(f"wrong_labels:n={budget}", train)
    true, seen = posed.corrected.y, posed.seen.where(posed.forget_ids).y
    assert torch.bincount(true, minlength=len(counts)).tolist() == taken
    assert torch.equal(seen, len(counts) - 1 - true)
    assert torch.equal(posed.corrected.y, train.where(posed.forget_ids).y)
    assert ("own pair" in posed.notes[-1]) == (len(counts) == 5)


def test_random_flips_are_uniform_over_other_labels():
    train = classes([500, 500, 500])
    posed = pose("wrong_labels:flip=random,fraction=0.8", train)
    step = (posed.seen.where(posed.forget_ids).y - posed.corrected.y) % 3
    assert len(step) == 1200 and set(step.tolist()) == {1, 2}
    assert abs(int((step == 1).sum()) - 600) < 5 * (1200 / 4) ** 0.5


def test_max_loss_takes_the_farthest_class():
    posed = pose("wrong_labels:flip=max_loss,n=9", classes([20, 20, 20]))
    seen = dict(zip(posed.corrected.y.tolist(), posed.seen.where(posed.forget_ids).y.tolist(), strict=True))
    assert seen[0] == 2 and seen[2] == 0


@pytest.mark.parametrize(
    ("text", "train", "error", "sentence"),
    [
        ("wrong_labels:n=31", classes([10, 10, 10, 0]), BadInput, "cannot give 31 wrong labels: 20 examples"),
        ("wrong_labels:n=0", classes([10, 10]), BadInput, "cannot give 0"),
        ("wrong_labels:fraction=1.5", classes([10, 10]), BadInput, "strictly between 0 and 1"),
        ("wrong_labels:classes=2", classes([3, 3, 3]), BadInput, "at least 3 classes"),
        ("wrong_labels", Examples.of(torch.zeros(4, 1), torch.rand(4)), BadInput, "not classes"),
        (
            "wrong_labels:flip=max_loss",
            Examples.of({"a": torch.ones(20)}, torch.arange(20) % 2),
            NotApplicable,
            "a dict",
        ),
        ("bad_features", classes([5, 5]), BadInput, "there are no columns to remove"),
        ("bad_features:columns=[1,0,1]", classes([5, 5]), BadInput, "repeats 1"),
        ("bad_features:columns=[0],q=2", classes([5, 5]), BadInput, "cannot draw 2 of 1"),
        ("bad_features:columns=[2]", classes([5, 5]), BadInput, "2 are not columns"),
    ],
)
def test_what_cannot_be_posed(text, train, error, sentence):
    with pytest.raises(error, match=sentence):
        pose(text, train)


def test_bad_features_zero_columns_where_there_was_an_entry():
    train = classes([6, 6])
    train.x[::3, 1] = 0
    posed = pose("bad_features:columns=[1]", train)
    assert posed.seen is train and posed.zeroed == (1,)
    assert torch.equal(posed.forget_ids, train.ids[train.x[:, 1] != 0])
    assert not posed.corrected.x[:, 1].any()


def test_removed_columns_are_not_asked_about():
    posed = pose("bad_features:columns=[1]", classes([6, 6]))
    test = Examples.of(torch.ones(3, 2), [0, 1, 0], ids=[90, 91, 92])
    assert posed.as_asked(test).x.tolist() == [[1, 0]] * 3 and posed.as_asked(None) is None
    assert pose("wrong_labels:n=2", classes([6, 6])).as_asked(test) is test
    nothing = Stream([], torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(NotApplicable, match="in memory"):
        posed.as_asked(nothing)


def test_columns_are_drawn_without_replacement():
    train = Examples.of(torch.ones(4, 10), torch.arange(4) % 2)
    drawn = [pose("bad_features:columns=[1,3,5,7,9],q=3", train, seed).zeroed for seed in range(30)]
    assert all(len(set(d)) == 3 and set(d) <= {1, 3, 5, 7, 9} for d in drawn) and len(set(drawn)) > 5


def texts(n: int = 40, length: int = 32) -> Examples:
    made = [example_of(f"hello number {i}, how are you?", length) for i in range(n)]
    return Examples.of(torch.stack([x for x, _ in made]), torch.stack([y for _, y in made]), ids=torch.arange(n) + 7)


def test_canaries_are_written_into_texts_and_replaced():
    train = texts()
    posed = pose("canary:template=pin {key}: {}!,secrets=3,repeats=2,digits=4,replacement=none", train)
    found = [Template("pin {key}: {}!").found_in(text_of(y)) for y in posed.seen.where(posed.forget_ids).y]
    assert len(posed.forget_ids) == 6 and {p for p, _ in found} == {"pin a: ", "pin b: ", "pin c: "}
    assert all(sum(1 for f in found if f == one) == 2 for one in found)
    for before, after in zip(posed.seen.where(posed.forget_ids).y, posed.corrected.y, strict=True):
        assert text_of(before)[11:] == text_of(after)[11:] and text_of(after)[7:11] == "none"
        assert "hello number" in text_of(after)
    assert pose("canary:digits=4", train).corrected is None


def test_canary_texts_ask_each_position_for_the_next_character():
    posed = pose("canary:digits=4", texts())
    seen = posed.seen.where(posed.forget_ids)
    inside = seen.y[:, :-1] >= 0
    assert torch.equal(seen.x[:, 1:][inside], seen.y[:, :-1][inside]) and not seen.x[:, 0].any()


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("canary:secrets=0", BadInput, "1 to 26 secrets"),
        ("canary:template=pin {},secrets=2", BadInput, "cannot be told apart"),
        ("canary:replacement=abc", BadInput, "as long as a secret, 6"),
        ("canary:digits=30", BadInput, "a text holds 32"),
        ("canary:template=none", BadInput, "a template has one {}"),
        ("canary:secrets=20,repeats=4", BadInput, "cannot draw 80 of 40"),
    ],
)
def test_canaries_that_cannot_be(text, error, sentence):
    with pytest.raises(error, match=sentence):
        pose(text, texts())


def test_canary_needs_text():
    with pytest.raises(NotApplicable, match="next-character"):
        pose("canary", classes([50, 50]))
    other = Examples.of(torch.zeros(40, 32), torch.full((40, 32), 200))
    with pytest.raises(NotApplicable, match="of another"):
        pose("canary", other)
