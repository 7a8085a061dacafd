from __future__ import annotations

import pytest

from lacunar.core.errors import NotApplicable
from lacunar.evaluators.edits.accuracy_restored import AccuracyRestored
from tests.evaluators.toy import judged


def test_it_is_the_share_of_what_was_lost():
    found = AccuracyRestored().one(judged(60, 75, [90, 90]))[0]
    assert found.value == pytest.approx(0.5) and "before 0.6000, after 0.7500, clean 0.9000" in found.note
    assert AccuracyRestored().one(judged(60, 50, [80, 100]))[0].value == pytest.approx(-1 / 3)
    small = AccuracyRestored().one(judged(89, 90, [89, 90]))[0]
    assert small.value is None and "cost less than 0.01" in small.note
    with pytest.raises(NotApplicable, match="oracles"):
        AccuracyRestored().measure([judged(60, 75, [])])
