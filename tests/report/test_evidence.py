from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lacunar.report.evidence import VERDICTS, Control, Evidence, Item
from tests.report.audits import ALL, passed


@pytest.mark.parametrize("name", ALL)
def test_every_audit_is_strict_json_with_all_of_its_fields(name):
    audit = ALL[name]()
    told = json.loads(json.dumps(audit.as_dict(), allow_nan=False))
    assert told["format"] == "lacunar-audit-1" and told["verdict"] == name in VERDICTS
    assert told.keys() == {"format", *vars(audit)}
    assert [Item(**{**item, "oracles": tuple(item["oracles"]),
                    "procedure_on_oracle": tuple(item["procedure_on_oracle"])}) for item in told["items"]] == [
        replace(i, **{n: None for n, v in vars(i).items() if isinstance(v, float) and not abs(v) < float("inf")})
        for i in audit.items
    ]  # fmt: skip
    assert [Control(**control) for control in told["controls"]] == list(audit.controls)


def test_numbers_that_are_not_finite_are_absent_wherever_they_stand():
    broken = replace(
        passed(),
        cost={"seconds": float("inf"), 3: [1.0, float("nan")]},
        curves={"roc": ({"fpr": -float("inf")}, "a")},
    )
    told = broken.as_dict()
    assert told["cost"] == {"seconds": None, "3": [1.0, None]}
    assert told["curves"] == {"roc": [{"fpr": None}, "a"]}


def test_a_printed_audit_leaves_the_curves_out():
    assert "curves" not in repr(passed()) and "verdict='pass'" in repr(passed())


def test_an_item_says_nothing_that_it_was_not_given():
    item = Item("accuracy")
    assert (item.verdict, item.mandatory, item.value, item.oracles, item.rho) == ("information", False, None, (), None)
    assert issubclass(type(passed()), Evidence)
