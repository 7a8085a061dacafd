from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.characters import Template, text_of
from lacunar.data.examples import Examples
from tests.scenarios.toy import classes, pose, texts


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
