from __future__ import annotations

from lacunar.lab.edited_sources import edited
from lacunar.lab.results import Results
from lacunar.methods.fine_tuning.fine_tune import FineTune
from tests.lab.test_plan import plan_of, record


def test_edited_sources_are_counted(tiny_experiment, edit):
    plan = plan_of(tiny_experiment())
    known = Results([record(plan, cell) for cell in plan.cells[:12]])
    assert edited(plan.cells, plan.protocol, known) == {}
    edit(FineTune)
    assert edited(plan.cells, plan.protocol, known) == {"fine_tune:epochs=1": 2}
    assert edited(plan.cells, "of another recipe", known) == {}
