"""The mark of a backdoor."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from lacunar.core.errors import BadInput, NotApplicable
from lacunar.data.trigger import Trigger


def test_marks_the_published_square_and_nothing_else():
    x = torch.full((2, 3, 32, 32), 200, dtype=torch.uint8)
    marked = Trigger().stamp(x)
    assert bool((marked[:, :, -6:-2, -6:-2] == 0).all()) and int((marked != x).sum()) == 2 * 3 * 16
    assert bool((x == 200).all()), "a copy"


def test_settings_and_rectangles():
    trigger = Trigger.of(SimpleNamespace(trigger_size=2, margin=0, value=0.5))
    marked = trigger.stamp(torch.zeros(1, 1, 5, 9))
    assert bool((marked[0, 0, 3:, 7:] == 0.5).all()) and float(marked.sum()) == 2.0


def test_what_cannot_be_marked():
    with pytest.raises(NotApplicable, match="is stamped on images"):
        Trigger().stamp(torch.zeros(3, 64))
    with pytest.raises(NotApplicable, match="is stamped on images"):
        Trigger().stamp({"ids": torch.zeros(3, 1, 8, 8)})
    with pytest.raises(BadInput, match=r"4 \+ 2 pixels does not fit images \(5, 9\)"):
        Trigger().stamp(torch.zeros(1, 1, 5, 9))
    with pytest.raises(BadInput, match="hold whole numbers from 0 to 255"):
        Trigger(value=256).stamp(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(BadInput, match="size >= 1 and margin >= 0"):
        Trigger(size=0)
