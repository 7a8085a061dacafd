"""Text as whole numbers: a fixed alphabet, next-character examples, and sentences that hide a secret.

The alphabet is printable ASCII whatever the corpus, so that it says nothing about the corpus.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from lacunar.core.errors import BadInput

START, OTHER = 0, 1
FIRST, LAST = 32, 126
SYMBOLS = 2 + LAST - FIRST + 1
"""Codes: 0 begins and fills, 1 is any character outside printable ASCII, 2, ..., 96 are the characters 32, ..., 126."""
IGNORED = -100
"""The label of a position that does not count, as in torch."""
DIGITS = "0123456789"
CANARY = "the code of {key} is {}. "
"""The sentence that hides a secret unless another one is given."""

State: TypeAlias = tuple[Tensor, ...]


@runtime_checkable
class Stepwise(Protocol):
    """A next-character model that can go on from where it stands, which makes shared prefixes free."""

    def advance(self, codes: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Read ``codes [n, length]``: logits ``[n, length, symbols]``, and the state after the last one.

        Each tensor of a state has its examples along dimension 0.
        """


def encode(text: str) -> Tensor:
    """The codes of a text, int64 ``[length]``."""
    return torch.tensor([ord(c) - FIRST + 2 if FIRST <= ord(c) <= LAST else OTHER for c in text], dtype=torch.int64)


def decode(codes: Tensor) -> str:
    """The text of ``codes``; what fills is left out, characters outside the alphabet become ``?``."""
    return "".join("?" if c == OTHER else chr(c - 2 + FIRST) for c in codes.tolist() if c >= OTHER)


def example_of(text: str, length: int) -> tuple[Tensor, Tensor]:
    """Inputs and labels ``[length]`` of one text, cut or filled to ``length``: each position is asked for the next."""
    codes = encode(text)[:length]
    y = torch.full((length,), IGNORED)
    y[: len(codes)] = codes
    x = torch.full((length,), START)
    x[1 : len(codes) + 1] = codes[: length - 1]
    return x, y


def text_of(y: Tensor) -> str:
    """The text that the labels ``[length]`` of a next-character example spell."""
    return decode(y)


@dataclass(frozen=True)
class Template:
    """A sentence with a place ``{}`` for a secret and, where several secrets are to be told apart, ``{key}``.

    Raises:
        BadInput: a text that does not have exactly one ``{}``, or more than one ``{key}``, or one behind the secret.
    """

    text: str

    def __post_init__(self) -> None:
        head, place, tail = self.text.partition("{}")
        if not place or "{}" in tail or head.count("{key}") > 1 or "{key}" in tail:
            raise BadInput(
                f"a template has one {{}} for the secret and at most one {{key}} before it, got {self.text!r}"
            )

    def prefix(self, key: str = "") -> str:
        """What stands before the secret."""
        return self.text.partition("{}")[0].replace("{key}", key)

    def filled(self, secret: str, key: str = "") -> str:
        """The whole sentence."""
        return self.prefix(key) + secret + self.text.partition("{}")[2]

    def found_in(self, text: str) -> tuple[str, str] | None:
        """The first (prefix, digits) in a text that has this sentence; None for a text without it."""
        before, _, tail = self.text.partition("{}")
        pattern = "(" + re.escape(before).replace(re.escape("{key}"), ".+?") + r")(\d+)" + re.escape(tail)
        found = re.search(pattern, text)
        return None if found is None else (found[1], found[2])
