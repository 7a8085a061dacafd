"""Secrets sit in a text corpus: sentences with random digits that a model may learn by heart."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_lowercase

import torch
from torch import Tensor

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data import corrections
from lacunar.data.characters import CANARY, DIGITS, SYMBOLS, Template, example_of, text_of
from lacunar.data.examples import Examples, Source
from lacunar.unlearning.scenario import Posed, Scenario, draw


@dataclass(frozen=True)
class Canary(Scenario):
    """Each secret is written, in its sentence, at the start of some texts; those texts are the forget set.

    For next-character data (:mod:`lacunar.data.characters`). A text keeps what fits of it behind the sentence.

    Attributes:
        template: the sentence, with ``{}`` for the secret and ``{key}`` for a letter that tells several secrets apart.
        secrets: how many secrets are drawn, each with a letter of its own.
        digits: length of a secret.
        repeats: in how many texts each secret is written.
        replacement: what the corrected texts have in the place of a secret, of the same length; None removes the texts.
    """

    template: str = CANARY
    secrets: int = 1
    digits: int = 6
    repeats: int = 4
    replacement: str | None = None

    def pose(self, train: Source, rng: torch.Generator) -> Posed:
        sentence = Template(self.template)
        length = self._check(sentence, train)
        assert isinstance(train, Examples)
        order = torch.randperm(self.secrets * self.repeats, generator=rng)
        ids = draw(train.ids, self.secrets * self.repeats, rng)[order].tolist()
        drawn = torch.randint(0, 10, (self.secrets, self.digits), generator=rng)
        seen: dict[int, str] = {}
        fixed: dict[int, str] = {}
        for k in range(self.secrets):
            secret, key = "".join(DIGITS[d] for d in drawn[k].tolist()), ascii_lowercase[k]
            for i in ids[k * self.repeats : (k + 1) * self.repeats]:
                rest = text_of(train.where([i]).y[0])
                seen[i] = sentence.filled(secret, key) + rest
                fixed[i] = sentence.filled(self.replacement or "", key) + rest
        written = _written(train, seen, length)
        forget_ids = torch.tensor(sorted(ids))
        corrected = None if self.replacement is None else _written(written, fixed, length).where(forget_ids)
        notes = (f"{self.secrets} secrets of {self.digits} digits, each in {self.repeats} of {len(train)} texts",)
        return Posed(forget_ids, written, corrected=corrected, notes=notes)

    def _check(self, sentence: Template, train: Source) -> int:
        if not 0 < self.secrets <= len(ascii_lowercase) or self.digits < 1 or self.repeats < 1:
            raise BadInput(
                f"1 to {len(ascii_lowercase)} secrets of at least 1 digit are written at least once, got "
                f"secrets={self.secrets}, digits={self.digits}, repeats={self.repeats}"
            )
        if self.secrets > 1 and "{key}" not in self.template:
            raise BadInput(
                f"{self.secrets} secrets in the same sentence cannot be told apart; put {{key}} in the template"
            )
        if self.replacement is not None and len(self.replacement) != self.digits:
            raise BadInput(
                f"the replacement {self.replacement!r} must be as long as a secret, {self.digits} characters"
            )
        if not isinstance(train, Examples) or not isinstance(train.x, Tensor) or train.y.shape != train.x.shape:
            raise NotApplicable("canary needs next-character examples in memory, such as the data set sms")
        if train.y.is_floating_point() or int(train.y.max()) >= SYMBOLS:
            raise NotApplicable("canary needs the alphabet of lacunar.data.characters; these labels are of another")
        length = train.x.shape[1]
        if (needed := len(sentence.filled("0" * self.digits, "a"))) > length:
            raise BadInput(f"the sentence with its secret has {needed} characters, but a text holds {length}")
        return length


def _written(train: Examples, texts: dict[int, str], length: int) -> Examples:
    made = {i: example_of(text, length) for i, text in texts.items()}
    edited = corrections.relabel(train, {i: y for i, (_, y) in made.items()})
    assert isinstance(edited, Examples)
    return corrections.replace(edited, {i: x for i, (x, _) in made.items()})
