from __future__ import annotations

import pytest
import torch

from lacunar.evaluators.edits.poison_fit import PoisonFit
from tests.evaluators import toy


def test_it_counts_relabelled_rows_only():
    # Predicted: wrong, right, neither; the fourth row was forgotten but not relabelled.
    forget = (toy.logits_for(torch.tensor([1, 0, 2, 0]), 5.0), torch.tensor([1, 1, 1, 0]))
    other = (toy.logits_for(torch.tensor([0, 1]), 5.0), torch.tensor([0, 1]))
    found = {m.name: m for m in PoisonFit().one(toy.trial(forget, other, other, corrected=[0, 0, 0, 0]))}
    assert found["poison_fit"].value == found["edit_fit"].value == pytest.approx(1 / 3) and found["edit_fit"].n == 3
    assert found["poison_fit"].low < 1 / 3 < found["poison_fit"].high
    none = PoisonFit().one(toy.trial(forget, other, other))
    assert [m.value for m in none] == [None, None] and "no forgotten example" in none[0].note
