"""The same settings and seeds give the same numbers as before: what a move or a new seam must not change."""

from __future__ import annotations

import json

import pytest

from tests.rules.numbers import FILE, made


@pytest.mark.filterwarnings("ignore:nothing of .* is left")
def test_every_method_score_and_pruner_gives_the_numbers_of_before():
    before = json.loads(FILE.read_text(encoding="utf-8"))
    now = dict(made())
    assert before.keys() <= now.keys()
    # Other processors round sums in another order, so the bits may differ; another draw or order differs at once.
    wrong = {name: (was, now[name]) for name, was in before.items() if now[name] != pytest.approx(was, rel=1e-4)}
    assert not wrong
