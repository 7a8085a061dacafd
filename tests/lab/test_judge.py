from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from lacunar.auditing.evaluator import Evaluator
from lacunar.core.errors import BadInput, NotApplicable
from lacunar.core.measurement import Measurement
from lacunar.lab.judge import judgement, key_of
from tests.lab.test_record import RECORD


@dataclass(frozen=True)
class Said(Evaluator):
    """Says what it is told to."""

    paper: ClassVar[str] = "none"
    needs: ClassVar[frozenset[str]] = frozenset()
    cost: ClassVar[str] = "nothing"

    what: str = "number"

    def measure(self, trials):
        errors = {"bad": BadInput("bad words"), "crash": KeyError("x"), "never": NotApplicable("not here")}
        if self.what in errors:
            raise errors[self.what]
        value = float("nan") if self.what == "nan" else float(len(trials))
        return [Measurement("n", value, low=0.0, high=float("inf") if self.what == "nan" else 9.0)]


def test_what_a_judge_says_is_kept_with_whom_it_looked_at():
    found = judgement(Said(), [RECORD], lambda: ["a trial"], over_seeds=False)
    assert found.judged == ("k",) and found.weights == ("w",) and found.judge == "said" and found.status == "done"
    assert [m.value for m in found.measurements] == [1.0] and found.settings == {"what": "number"}
    assert found.key == key_of(Said(), ["k"]) and found.seconds is not None and len(found.code) == 64


@pytest.mark.parametrize(
    ("what", "status", "note"),
    [
        ("bad", "failed", "failed: bad words"),
        ("crash", "failed", "failed: KeyError: 'x'"),
        ("never", "not applicable", "not applicable: not here"),
    ],
)
def test_whatever_a_judge_raises_is_its_measurement(what, status, note):
    found = judgement(Said(what), [RECORD], list, over_seeds=False)
    (m,) = found.measurements
    assert (found.status, m.name, m.value, m.note) == (status, "said", None, note)


def test_a_trial_that_cannot_be_made_is_a_failed_measurement():
    def trials():
        raise ZeroDivisionError("no oracle")

    found = judgement(Said(), [RECORD], trials, over_seeds=False)
    assert found.status == "failed" and found.trouble == "failed: ZeroDivisionError: no oracle"


def test_numbers_that_json_cannot_hold_are_left_out_and_named():
    (m,) = judgement(Said("nan"), [RECORD], list, over_seeds=True).measurements
    assert (m.value, m.low, m.high, m.note) == (None, 0.0, None, "(not finite: value, high)")


def test_the_key_follows_the_cells_the_settings_and_the_source(edit):
    plain = key_of(Said(), ["k"])
    assert key_of(Said(), ["k"]) == plain
    assert plain not in (key_of(Said(), ["k", "l"]), key_of(Said("nan"), ["k"]))
    edit(Said)
    assert key_of(Said(), ["k"]) != plain
