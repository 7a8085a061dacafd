"""The alphabet, next-character examples and templates."""

from __future__ import annotations

import pytest
import torch

from lacunar.core.errors import BadInput
from lacunar.data.characters import IGNORED, OTHER, SYMBOLS, Template, decode, encode, example_of, text_of


def test_printable_text_survives_and_the_rest_is_one_symbol():
    text = "".join(chr(c) for c in range(32, 127))
    assert decode(encode(text)) == text and int(encode(text).max()) == SYMBOLS - 1
    assert encode("é\n").tolist() == [OTHER, OTHER] and decode(encode("aéb")) == "a?b"


@pytest.mark.parametrize(("text", "length"), [("abc", 5), ("abc", 3), ("abcdef", 3), ("", 2)])
def test_an_example_asks_each_position_for_the_next_character(text, length):
    x, y = example_of(text, length)
    kept = text[:length]
    assert text_of(y) == kept and len(x) == len(y) == length
    assert x.tolist() == ([0, *encode(kept).tolist()] + [0] * length)[:length]
    assert (y[len(kept) :] == IGNORED).all()


def test_templates_are_filled_and_found():
    template = Template("The (pin) of {key} is {}!")
    assert template.filled("0123", "b") == "The (pin) of b is 0123!"
    assert template.found_in("well. The (pin) of b is 0123! ok") == ("The (pin) of b is ", "0123")
    assert template.found_in("The pin of b is 0123!") is None
    assert Template("{}").found_in("a 42")[1] == "42"


@pytest.mark.parametrize("text", ["no place", "{} and {}", "{key} {key} {}", "{} of {key}"])
def test_broken_templates(text):
    with pytest.raises(BadInput, match="a template has one"):
        Template(text)


def test_codes_are_whole_numbers():
    assert encode("a").dtype == torch.int64
