from __future__ import annotations

import torch

from lacunar.training.log import Log

MASK = {"w": torch.tensor([True, False])}


def test_a_part_of_the_job_adds_to_the_whole():
    whole = Log([{"loss": 1.0}], 3, 24, None, ["first"], {"density": 0.5, "phase": 1}, "job", 1)
    whole.absorb(Log([{"loss": 0.5}], 2, 16, MASK, ["second"], {"phase": 2}, "part", 4))
    assert whole == Log(
        [{"loss": 1.0}, {"loss": 0.5}], 5, 40, MASK, ["first", "second"], {"density": 0.5, "phase": 2}, "job", 4
    )


def test_a_part_without_a_mask_of_its_own_leaves_that_of_the_whole():
    whole = Log(mask=MASK)
    whole.absorb(Log())
    assert whole.mask is MASK


def test_two_logs_share_nothing():
    one, other = Log(), Log()
    one.notes.append("a")
    one.facts["a"] = 1
    one.history.append({})
    assert other == Log()
